// A page with one script in it, as far as gateway/clients/p.js looks at a page: runs the script of
// argv[2] with the attributes and calls of argv[3] (JSON), prints what it posted, one JSON line each.
const vm = require("node:vm");
const fs = require("node:fs");

const given = JSON.parse(process.argv[3]);
const jar = new Map(Object.entries(given.cookies || {}));
const attributes = given.attributes || {};
const posted = [];
let answers = given.statuses || [];

const document = {
  title: "Pricing",
  referrer: "https://search.example/",
  currentScript: {
    src: "https://cx.example/p.js?v=1",
    getAttribute: (name) => (name in attributes ? attributes[name] : null)
  },
  get cookie() {
    return [...jar].map(([key, value]) => `${key}=${value}`).join("; ");
  },
  set cookie(text) {
    const [pair, ...rest] = text.split(";");
    const [key, value] = pair.split("=");
    const part = (name) => (rest.find((one) => one.startsWith(name + "=")) || "").split("=")[1];
    // As browsers do with a public suffix.
    if (part("domain") === "example" || given.refuseCookies) return;
    if (part("max-age") === "0") jar.delete(key);
    else jar.set(key, value);
  }
};
const location = new URL("https://www.shop.example/pricing?utm_source=mail&utm_campaign=spring");
const window = { screen: { width: 1, height: 1 }, ...(given.queue ? { jitsuQ: given.queue } : {}) };
const fetch = (url, options) => {
  posted.push({ url, headers: options.headers, event: JSON.parse(options.body) });
  const status = answers.shift() ?? 200;
  if (status === 0) return Promise.reject(new Error("network"));
  return Promise.resolve({ status, ok: status < 300 });
};
const context = vm.createContext({
  window, document, location, fetch, URL, URLSearchParams, console, crypto: globalThis.crypto,
  navigator: { userAgent: "Browser", language: "zh-CN" },
  setTimeout: (call) => setImmediate(call)
});
vm.runInContext(fs.readFileSync(process.argv[2], "utf8"), context);
(async () => {
  for (const [method, ...rest] of given.calls || []) await window.jitsu[method](...rest);
  await new Promise((resolve) => setTimeout(resolve, 0));
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  console.log(JSON.stringify({ posted, cookies: Object.fromEntries(jar) }));
})();
