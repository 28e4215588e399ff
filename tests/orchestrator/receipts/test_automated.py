"""Which requests for pixels and links are held to be made by programs."""

import pytest

from services.orchestrator.receipts.automated import reason

SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
CASES = [
    ("GET", {"user-agent": SAFARI}, None),
    ("GET", {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko Firefox/128.0"}, None),
    ("HEAD", {"user-agent": SAFARI}, "head"),
    ("GET", {"user-agent": SAFARI, "sec-purpose": "prefetch;prerender"}, "prefetch"),
    ("GET", {"user-agent": SAFARI, "x-moz": "prefetch"}, "prefetch"),
    ("GET", {"user-agent": SAFARI, "x-purpose": "preview"}, "prefetch"),
    ("GET", {}, "no_user_agent"),
    ("GET", {"user-agent": " "}, "no_user_agent"),
    ("GET", {"user-agent": "Mozilla/5.0"}, "apple_mail_privacy"),
    ("GET", {"user-agent": GMAIL}, "gmail_proxy"),
    ("GET", {"user-agent": "YahooMailProxy; https://help.yahoo.com"}, "yahoo_proxy"),
    ("GET", {"user-agent": "Microsoft Office Existence Discovery"}, "scanner"),
    ("GET", {"user-agent": "Mozilla/5.0 Barracuda Sentinel (EE)"}, "scanner"),
    ("GET", {"user-agent": "python-requests/2.32"}, "bot"),
    ("GET", {"user-agent": "curl/8.5.0"}, "bot"),
    ("GET", {"user-agent": "Slackbot-LinkExpanding 1.0"}, "bot"),
    ("GET", {"user-agent": "Mozilla/5.0 (compatible; bingbot/2.0)"}, "bot"),
    ("GET", {"user-agent": "facebookexternalhit/1.1"}, "bot"),
    ("GET", {"user-agent": "Mozilla/5.0 (Linux; Android 14; CUBOT X50) Chrome/126"}, None),
]


@pytest.mark.parametrize(("method", "headers", "expected"), CASES)
def test_what_gives_a_program_away(
    method: str, headers: dict[str, str], expected: str | None
) -> None:
    assert reason(method, headers) == expected
