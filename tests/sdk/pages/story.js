// What every client in a page is told to say. The run stands in the address, behind the #.

export const run = JSON.parse(decodeURIComponent(location.hash.slice(1)));
export const traits = { email: run.email, name: "Ada", plan: "pro" };
export const order = { revenue: 12.5, currency: "EUR", products: [{ sku: "s1", quantity: 2 }] };
export const orderedAt = new Date(run.ordered_at);

/** The key in the form Jitsu's clients want. */
export function jitsuKey() {
  const at = run.key.lastIndexOf("_");
  return `${run.key.slice(0, at)}:${run.key.slice(at + 1)}`;
}

/** Tells the test that all calls were made, or goes away at once, as visitors do. */
export function said() {
  if (run.options.leave) location.href = "left.html";
  else document.title = "said";
}
