import { PostHog } from "posthog-node";
import { end, order, orderedAt, report, run, traits } from "./story.mjs";

const client = new PostHog(run.key, { host: run.url, disableCompression: !run.options.gzip });
client.on("error", report);
const distinctId = run.user;
client.identify({ distinctId, properties: { $set: traits } });
client.capture({ distinctId, event: "Order Completed", properties: order, timestamp: orderedAt });
client.capture({
  distinctId: run.visitor,
  event: "Product Viewed",
  properties: { sku: "s1", $process_person_profile: false },
});
client.capture({
  distinctId,
  event: "$pageview",
  properties: { $current_url: "https://shop.example/home", title: "Home" },
});
client.groupIdentify({ groupType: "company", groupKey: run.group, properties: { name: "Acme" } });
client.alias({ distinctId, alias: run.before });
await client.shutdown(60_000);
end();
