"""Puts a pixel and redirects into a mail that is rendered. Pure.

Every pattern stops at the next angle bracket or white space, so the time grows with the text alone,
whatever a template holds.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.orchestrator.receipts.tokens import TokenKey, Tracked

MAX_URL = 2_000
"""Longer addresses stay as they are: with a token around it, some mail programs would cut them."""
MAX_LINKS = 500
_ANCHOR = re.compile(
    r"(?P<before><(?:a|area)\b[^<>]{0,2000}?\shref\s{0,9}=\s{0,9})"
    r"""(?:"(?P<double>[^"<>]*)"|'(?P<single>[^'<>]*)')""",
    re.IGNORECASE,
)
_IN_TEXT = re.compile(r"https?://[^\s<>\"']+", re.IGNORECASE)
_AFTER_A_LINK = ".,;:!?)]}"
_WEB = ("http://", "https://")
_BODY_END = re.compile(r"</body\s{0,9}>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tracker:
    """Of one workspace."""

    workspace_id: UUID
    key: TokenKey
    public_url: str

    def track(
        self, message_id: UUID, content: Mapping[str, Any], *, opens: bool, clicks: bool
    ) -> dict[str, Any]:
        """The content of a mail with what is asked for in it.

        Only web addresses are changed, and none of this platform: links to unsubscribe and to
        preferences stay what they are.
        """
        tracked = dict(content)
        if clicks:
            mail = _Mail(self, message_id, {})
            if tracked.get("html"):
                tracked["html"] = _ANCHOR.sub(mail.anchor, tracked["html"])
            tracked["text"] = _IN_TEXT.sub(mail.in_text, tracked["text"])
        if opens and tracked.get("html"):
            tracked["html"] = _with_pixel(tracked["html"], self.pixel(message_id))
        return tracked

    def pixel(self, message_id: UUID) -> str:
        return f"{self.public_url}/v1/o/{self.key.opened(self.workspace_id, message_id)}"


def wanted(config: Mapping[str, Any], name: str, purpose: str) -> bool:
    """Whether a channel tracks opens or clicks; where it does not say: in marketing only."""
    said = config.get(name)
    return purpose == "marketing" if said is None else bool(said)


@dataclass(slots=True)
class _Mail:
    """Text and html number the same address the same."""

    tracker: Tracker
    message_id: UUID
    numbers: dict[str, int]

    def anchor(self, found: re.Match[str]) -> str:
        quoted = found["double"] if found["double"] is not None else found["single"]
        redirect = self._redirect(html.unescape(quoted).strip())
        return found[0] if redirect is None else f'{found["before"]}"{redirect}"'

    def in_text(self, found: re.Match[str]) -> str:
        url = found[0].rstrip(_AFTER_A_LINK)
        return (self._redirect(url) or url) + found[0][len(url) :]

    def _redirect(self, url: str) -> str | None:
        ours = url.startswith(f"{self.tracker.public_url}/v1/")
        if ours or len(url) > MAX_URL or not is_web(url):
            return None
        if url not in self.numbers and len(self.numbers) >= MAX_LINKS:
            return None
        number = self.numbers.setdefault(url, len(self.numbers))
        tracked = Tracked(self.tracker.workspace_id, self.message_id, number, url)
        return f"{self.tracker.public_url}/v1/c/{self.tracker.key.clicked(tracked)}"


def is_web(url: str) -> bool:
    return url.lower().startswith(_WEB)


def _with_pixel(source: str, url: str) -> str:
    image = f'<img src="{url}" width="1" height="1" alt="" style="border:0">'
    ends = [found.start() for found in _BODY_END.finditer(source)]
    place = ends[-1] if ends else len(source)
    return source[:place] + image + source[place:]
