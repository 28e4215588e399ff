import Analytics from "@rudderstack/rudder-sdk-node";
import { end, home, order, orderedAt, report, run, traits } from "./story.mjs";

const { gzip } = run.options;
const client = new Analytics(run.key, { dataPlaneUrl: run.url, gzip, errorHandler: report });
const userId = run.user;
client.identify({ userId, traits });
client.track({ userId, event: "Order Completed", properties: order, originalTimestamp: orderedAt });
client.track({ anonymousId: run.visitor, event: "Product Viewed", properties: { sku: "s1" } });
client.page({ userId, category: "Docs", name: "Home", properties: home });
client.screen({ userId, name: "Main", properties: { tab: 1 } });
client.group({ userId, groupId: run.group, traits: { name: "Acme" } });
client.alias({ userId, previousId: run.before });
await client.flush();
end();
