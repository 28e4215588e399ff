import { jitsuAnalytics } from "@jitsu/js";
import { end, home, order, report, run, traits } from "./story.mjs";

// A write key with its last `_` as `:` has the form this client wants.
const at = run.key.lastIndexOf("_");
const writeKey = `${run.key.slice(0, at)}:${run.key.slice(at + 1)}`;
const client = jitsuAnalytics({ host: run.url, writeKey, s2s: run.options.s2s });
const said = [
  () => client.identify(run.user, traits),
  () => client.track("Order Completed", order),
  () => client.page({ name: "Home", ...home }),
  () => client.group(run.group, { name: "Acme" }),
];
for (const call of said) {
  try {
    await call();
  } catch (error) {
    report(error);
  }
}
end();
