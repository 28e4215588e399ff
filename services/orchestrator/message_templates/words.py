"""The text of a mail from its html. Pure; one walk over it, however broken it is."""

import re
from collections.abc import Iterator
from html import unescape

_BLOCKS = frozenset(
    (
        *("address", "article", "blockquote", "br", "div", "footer", "form", "header", "hr"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "li", "ol", "p", "section", "table", "tr", "ul"),
    )
)
_UNSEEN = frozenset(("head", "script", "style", "template", "title"))
_NAME = re.compile(r"/?[A-Za-z][A-Za-z0-9]*")
_ATTRIBUTE = re.compile(r"\b(href|alt)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
_WEB = ("http://", "https://", "mailto:")


def plain_text(html: str) -> str:
    """The words of a mail, its links as `words (address)`, blocks on lines of their own."""
    walk = _Walk()
    for tag, value in _pieces(html):
        walk.take(tag, value)
    lines = [" ".join(line.split()) for line in walk.lines]
    kept = [line for n, line in enumerate(lines) if line or (n and lines[n - 1])]
    return "\n".join(kept).strip() + "\n"


class _Walk:
    def __init__(self) -> None:
        self.lines = [""]
        self._unseen = 0
        self._links: list[tuple[str, int]] = []

    def take(self, tag: str, value: str) -> None:
        if tag.lstrip("/") in _UNSEEN:
            self._unseen = max(0, self._unseen + (-1 if tag.startswith("/") else 1))
        elif self._unseen:
            return
        elif not tag:
            self.lines[-1] += re.sub(r"\s+", " ", unescape(value))
        elif tag.lstrip("/") in _BLOCKS:
            self.lines.append("- " if tag == "li" else "")
        elif tag == "a":
            self._links.append((_attribute(value, "href"), len(self.lines[-1])))
        elif tag == "/a" and self._links:
            self._end_link(*self._links.pop())
        elif tag == "img":
            self.lines[-1] += _attribute(value, "alt")

    def _end_link(self, address: str, start: int) -> None:
        shown = self.lines[-1][start:].strip()
        if address.startswith(_WEB) and shown != address:
            self.lines[-1] += f" ({address})" if shown else address


def _attribute(tag: str, name: str) -> str:
    for found in _ATTRIBUTE.finditer(tag):
        if found[1].lower() == name:
            return unescape(found[2] if found[2] is not None else found[3])
    return ""


def _pieces(html: str) -> Iterator[tuple[str, str]]:
    """(name of a tag, the tag) and ("", text), in one walk that never looks back."""
    at = 0
    while at < len(html):
        opens = html.find("<", at)
        if opens < 0:
            yield "", html[at:]
            return
        if opens > at:
            yield "", html[at:opens]
        end = html.find("-->" if html.startswith("<!--", opens) else ">", opens)
        name = _NAME.match(html, opens + 1)
        if name is None and html[opens + 1 : opens + 2] not in ("!", "?"):
            yield "", "<"
            at = opens + 1
        elif end < 0:
            return
        else:
            if name is not None:
                yield name[0].lower(), html[opens : end + 1]
            at = end + (3 if html.startswith("-->", end) else 1)
