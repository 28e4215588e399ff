import { jitsuClient } from "@jitsu/sdk-js";
import { end, order, report, run } from "./story.mjs";

const client = jitsuClient({ key: run.key, tracking_host: run.url, log_level: "ERROR" });
try {
  await client.id({ id: run.user, email: run.email, name: "Ada", plan: "pro" });
  await client.track("Order Completed", order);
} catch (error) {
  report(error);
}
end();
