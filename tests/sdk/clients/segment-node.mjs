import { Analytics } from "@segment/analytics-node";
import { end, home, order, orderedAt, report, run, traits } from "./story.mjs";

const client = new Analytics({ writeKey: run.key, host: run.url });
client.on("error", (error) => report(error.reason ?? error.code));
const userId = run.user;
client.identify({ userId, traits });
client.track({ userId, event: "Order Completed", properties: order, timestamp: orderedAt });
client.track({ anonymousId: run.visitor, event: "Product Viewed", properties: { sku: "s1" } });
client.page({ userId, category: "Docs", name: "Home", properties: home });
client.screen({ userId, name: "Main", properties: { tab: 1 } });
client.group({ userId, groupId: run.group, traits: { name: "Acme" } });
client.alias({ userId, previousId: run.before });
await client.closeAndFlush({ timeout: 60_000 });
end();
