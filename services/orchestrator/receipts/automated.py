"""Tells programs that open and click from people. Pure.

Nothing here is certain; what is recognised is kept as automated with its reason, not thrown away.

- Apple Mail Privacy Protection loads every image on delivery or later, through Apple's relays
  (Apple, "Use Mail Privacy Protection"). Senders see the user agent `Mozilla/5.0`, nothing more.
- Gmail and Yahoo load images through proxies that name themselves. Gmail's mostly asks when a
  person opens the mail, but not only, and it hides who; so it is told apart as well.
- Security gateways and previews of chat programs follow links before a person does, many by HEAD.
- Browsers that fetch ahead say so: `Sec-Purpose` (W3C Speculation Rules), `Purpose`, `X-Moz`,
  `X-Purpose`.
- A user agent that is missing, or that of an HTTP library or a bot.

A scanner that pretends to be a browser is not recognised.
"""

import re
from collections.abc import Mapping

_AHEAD = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_PROXIES = {"GoogleImageProxy": "gmail_proxy", "YahooMailProxy": "yahoo_proxy"}
_SCANNERS = re.compile(
    r"safelinks|barracuda|proofpoint|mimecast|symantec|forcepoint|ironport|trendmicro|sophos"
    r"|bitdefender|zscaler|messagelabs|urldefense|office existence discovery|microsoft office word",
    re.IGNORECASE,
)
_BOTS = re.compile(
    r"(?<!cu)bot\b|crawl|spider|slurp|preview|facebookexternalhit|whatsapp|headless|phantomjs"
    r"|^(?:curl|wget|python|go-http-client|java|okhttp|libwww|apache-httpclient|node|axios|ruby)",
    re.IGNORECASE,
)


def reason(method: str, headers: Mapping[str, str]) -> str | None:
    """Why it was no person who asked; None where it may have been one. Names in lower case."""
    if method == "HEAD":
        return "head"
    if any(_says_ahead(headers.get(name, "")) for name in _AHEAD):
        return "prefetch"
    agent = headers.get("user-agent", "").strip()[:1_000]
    if not agent:
        return "no_user_agent"
    if agent == "Mozilla/5.0":
        return "apple_mail_privacy"
    for name, known in _PROXIES.items():
        if name in agent:
            return known
    if _SCANNERS.search(agent):
        return "scanner"
    return "bot" if _BOTS.search(agent) else None


def _says_ahead(value: str) -> bool:
    return any(word in value.lower() for word in ("prefetch", "prerender", "preview"))
