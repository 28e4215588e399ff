"""Jitsu's legacy clients: a list of flat events. (Jitsu 2 sends Segment's calls.) Pure."""

from typing import Any

from services.tracking.ingest.protocols.call import (
    Calls,
    Sent,
    cut,
    given,
    mapping,
    text,
)

_PAGES = {"pageview", "page", "site_page"}
# Everything else at the top level is a property of the event.
_ENVELOPE = {
    "event_id", "event_type", "user", "ids", "utc_time", "local_tz_offset", "utm", "click_id",
    "api_key", "src", "source_ip", "user_agent", "user_language", "url", "page_title", "doc_path",
    "doc_host", "doc_search", "doc_encoding", "referer", "screen_resolution", "vp_size",
}  # fmt: skip
_NO_TRAITS = {"id", "internal_id", "anonymous_id", "hashed_anonymous_id"}


def calls(sent: Sent) -> Calls:
    return cut(sent.body).translated(_call)


def _call(event: dict[str, Any]) -> dict[str, Any]:
    user = mapping(event.get("user"))
    kind = text(event.get("event_type"))
    traits = {name: value for name, value in user.items() if name not in _NO_TRAITS}
    properties = {name: value for name, value in event.items() if name not in _ENVELOPE}
    said = {
        "type": "track",
        "event": kind,
        "messageId": event.get("event_id"),
        "userId": user.get("id") or user.get("internal_id"),
        "anonymousId": user.get("anonymous_id"),
        "timestamp": event.get("utc_time"),
        "context": _context(event, traits),
        "properties": properties,
    }
    if kind == "user_identify":
        return said | {"type": "identify", "traits": traits | properties, "properties": None}
    if kind in _PAGES:
        return said | {"type": "page", "properties": _page(event) | properties}
    return said


def _page(event: dict[str, Any]) -> dict[str, Any]:
    return given(
        url=event.get("url"),
        path=event.get("doc_path"),
        title=event.get("page_title"),
        search=event.get("doc_search"),
        referrer=event.get("referer"),
    )


def _context(event: dict[str, Any], traits: dict[str, Any]) -> dict[str, Any]:
    utm = dict(mapping(event.get("utm")))
    if "campaign" in utm:
        utm["name"] = utm.pop("campaign")
    return given(
        library=given(name=event.get("src")),
        page=_page(event),
        campaign=utm,
        userAgent=event.get("user_agent"),
        ip=event.get("source_ip"),
        locale=event.get("user_language"),
        clickIds=mapping(event.get("click_id")),
        clientIds=mapping(event.get("ids")),
        traits=traits,
    )
