// Waymark's script for pages that load Jitsu's `p.js`: `<script async src="https://…/p.js"
// data-write-key="…">`. Events go to the script's own origin, `/api/s/{type}`.
// Attributes: data-write-key, data-init-only (no page event by itself), data-user-id,
// data-cookie-domain, data-onload (name of a function), data-namespace (`jitsu`).
(function () {
  "use strict";

  var script = document.currentScript;
  if (!script || !script.src) return;
  var origin = new URL(script.src).origin;
  var name = script.getAttribute("data-namespace") || "jitsu";
  var writeKey = script.getAttribute("data-write-key") || "";
  var initOnly = /^(true|1|yes)$/.test(script.getAttribute("data-init-only") || "");

  // Jitsu's own names, so that a page that changes its host keeps its visitors.
  var ANONYMOUS = "__eventn_id";
  var USER = "__eventn_uid";
  var GROUP = "__group_id";
  var YEARS = 5 * 365 * 24 * 3600;
  var ATTEMPTS = 4;
  var KEEPALIVE_CHARACTERS = 15000;
  var traits = {};
  // Where a browser keeps no cookies, the page at least is one visit.
  var memory = {};

  function readCookie(key) {
    var parts = ("; " + document.cookie).split("; " + key + "=");
    if (parts.length < 2) return null;
    try {
      return decodeURIComponent(parts[1].split(";")[0]) || null;
    } catch (error) {
      return null;
    }
  }

  function putCookie(key, value, domain, seconds) {
    document.cookie =
      key + "=" + encodeURIComponent(value) + ";path=/;max-age=" + seconds + ";SameSite=Lax" +
      (domain ? ";domain=" + domain : "") + (location.protocol === "https:" ? ";Secure" : "");
  }

  // The widest domain a cookie may have here; browsers refuse public suffixes.
  function widestDomain() {
    var labels = location.hostname.split(".");
    for (var count = 2; count <= labels.length; count++) {
      var domain = labels.slice(-count).join(".");
      putCookie("__eventn_try", "1", domain, 60);
      if (readCookie("__eventn_try")) {
        putCookie("__eventn_try", "", domain, 0);
        return domain;
      }
    }
    return "";
  }

  var cookieDomain = script.getAttribute("data-cookie-domain") || widestDomain();

  function recall(key) {
    return memory[key] || readCookie(key);
  }

  function remember(key, value) {
    memory[key] = value;
    putCookie(key, value || "", cookieDomain, value ? YEARS : 0);
  }

  function uuid() {
    if (crypto.randomUUID) return crypto.randomUUID();
    var bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    var hex = Array.from(bytes, function (byte) {
      return (byte + 256).toString(16).slice(1);
    }).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  function anonymousId() {
    var found = recall(ANONYMOUS);
    if (!found) {
      found = uuid();
      remember(ANONYMOUS, found);
    }
    return found;
  }

  function pageProperties() {
    return {
      url: location.href,
      path: location.pathname,
      search: location.search,
      title: document.title,
      referrer: document.referrer,
      host: location.host
    };
  }

  function campaign() {
    var found = {};
    new URLSearchParams(location.search).forEach(function (value, key) {
      if (key.slice(0, 4) !== "utm_" || !value) return;
      var part = key.slice(4);
      found[part === "campaign" ? "name" : part] = value;
    });
    return found;
  }

  function context() {
    var options = Intl.DateTimeFormat().resolvedOptions();
    return {
      library: { name: "waymark-p.js", version: "1" },
      userAgent: navigator.userAgent,
      locale: navigator.language,
      timezone: options.timeZone,
      screen: {
        width: window.screen.width,
        height: window.screen.height,
        innerWidth: window.innerWidth,
        innerHeight: window.innerHeight,
        density: window.devicePixelRatio
      },
      page: pageProperties(),
      campaign: campaign(),
      traits: traits
    };
  }

  // Sent again with the same message id, so it counts once however often it arrives.
  function post(type, body, attempt) {
    return fetch(origin + "/api/s/" + type, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Write-Key": writeKey },
      // Outlives the page, but browsers allow few bytes for that.
      keepalive: body.length < KEEPALIVE_CHARACTERS,
      body: body
    }).then(
      function (response) {
        var later = response.status === 429 || response.status >= 500;
        return later ? again(type, body, attempt) : response.ok;
      },
      function () {
        return again(type, body, attempt);
      }
    );
  }

  function again(type, body, attempt) {
    if (attempt >= ATTEMPTS) return Promise.resolve(false);
    return new Promise(function (resolve) {
      setTimeout(resolve, 1000 * Math.pow(2, attempt - 1) * (0.5 + Math.random()));
    }).then(function () {
      return post(type, body, attempt + 1);
    });
  }

  function send(type, fields) {
    var now = new Date().toISOString();
    var event = {
      type: type,
      messageId: uuid(),
      anonymousId: anonymousId(),
      userId: recall(USER) || undefined,
      groupId: recall(GROUP) || undefined,
      timestamp: now,
      sentAt: now,
      context: context()
    };
    return post(type, JSON.stringify(Object.assign(event, fields)), 1);
  }

  function isObject(value) {
    return value !== null && typeof value === "object";
  }

  var client = {
    track: function (event, properties) {
      return send("track", { event: event, properties: properties || {} });
    },
    page: function (pageName, properties) {
      if (isObject(pageName)) {
        properties = pageName;
        pageName = undefined;
      }
      var all = Object.assign(pageProperties(), properties || {});
      return send("page", { name: pageName, properties: all });
    },
    identify: function (userId, given) {
      if (isObject(userId)) {
        given = userId;
        userId = undefined;
      }
      if (userId !== undefined && userId !== null) remember(USER, String(userId));
      traits = Object.assign({}, traits, given || {});
      return send("identify", { traits: given || {} });
    },
    group: function (groupId, given) {
      if (groupId !== undefined && groupId !== null) remember(GROUP, String(groupId));
      return send("group", { traits: given || {} });
    },
    setAnonymousId: function (id) {
      remember(ANONYMOUS, id);
    },
    reset: function () {
      [ANONYMOUS, USER, GROUP].forEach(function (key) {
        remember(key, "");
      });
      traits = {};
      return Promise.resolve();
    },
    user: function () {
      return { id: recall(USER), anonymousId: anonymousId(), traits: traits };
    }
  };

  // A page may queue `jitsuQ.push(function (jitsu) {…})` or `["track", …]` before we are here.
  function take(wanted) {
    try {
      if (typeof wanted === "function") wanted(client);
      else client[wanted[0]].apply(client, Array.prototype.slice.call(wanted, 1));
    } catch (error) {
      console.warn("A call queued for " + name + " failed.", error);
    }
  }

  var userId = script.getAttribute("data-user-id");
  if (userId) remember(USER, userId);
  var waiting = window[name + "Q"];
  window[name] = client;
  window[name + "Q"] = { push: take };
  var onload = window[script.getAttribute("data-onload") || ""];
  if (typeof onload === "function") take(onload);
  if (Array.isArray(waiting)) waiting.forEach(take);
  if (!initOnly) client.page();
})();
