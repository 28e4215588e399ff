// A browser for the tests: commands as JSON lines on the input, answers as JSON lines on the output.
//
//   {"id": 1, "open": "http://…"}   a page with a storage of its own; answered once it has said all
//   {"id": 2, "close": 1}           answered with what the page of command 1 complained about
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const browser = await chromium.launch({
  executablePath: process.argv[2],
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Whatever a client would load from its vendor is not there.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
  ],
});
const visits = new Map();

async function open(id, url) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`${message.text()} ${message.location().url}`);
  });
  visits.set(id, { context, complaints });
  await page.goto(url);
  await page.waitForFunction(() => document.title === "said");
  return {};
}

async function close(id) {
  const { context, complaints } = visits.get(id);
  visits.delete(id);
  await context.close();
  return { complaints };
}

async function obey({ id, open: url, close: visit }) {
  try {
    return { id, ...(url ? await open(id, url) : await close(visit)) };
  } catch (error) {
    return { id, failed: String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  // Not awaited: pages are open side by side.
  obey(JSON.parse(line)).then((answer) => console.log(JSON.stringify(answer)));
}
await browser.close();
