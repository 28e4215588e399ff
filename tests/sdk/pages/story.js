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

/** Makes the calls, and either stays or goes on to the shop's next page at once. */
export async function tell(calls) {
  const taken = run.options.returned ? null : calls();
  if (run.options.leave) {
    // Until the client has taken the calls they live in the page's memory only.
    await taken;
    const options = { ...run.options, leave: false, returned: true };
    const next = encodeURIComponent(JSON.stringify({ ...run, options }));
    location.href = `${location.pathname}?next#${next}`;
  } else said();
}

/** Tells the test that all calls were made. */
export function said() {
  document.title = "said";
}
