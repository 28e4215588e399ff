// What every client in Node is told to say, and how it reports what it was told back.

/** The keys, ids and options of this run. */
export const run = JSON.parse(process.argv[2]);

export const traits = { email: run.email, name: "Ada", plan: "pro" };
export const order = { revenue: 12.5, currency: "EUR", products: [{ sku: "s1", quantity: 2 }] };
export const orderedAt = new Date(run.ordered_at);
export const home = { url: "https://shop.example/home", title: "Home" };

const errors = [];

/** For a client's own error handlers. */
export function report(error) {
  errors.push(String(error?.message ?? error));
}

/** Prints what went wrong as the last thing this process does by itself. */
export function end() {
  console.log(JSON.stringify({ errors }));
}
