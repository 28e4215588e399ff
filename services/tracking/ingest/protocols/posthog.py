"""PostHog's clients: ``/batch``, ``/e``, ``/capture``, ``/i/v1/analytics/events``. Pure.

One ``distinct_id`` names known and unknown people alike; which it is has to be told from what the
clients say beside it.
"""

import re
from dataclasses import replace
from typing import Any

import msgspec

from services.kit.wrapping import unwrap
from services.tracking.ingest.protocols.call import (
    Calls,
    Sent,
    cut,
    given,
    mapping,
    text,
)

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Said elsewhere in the call.
_NOT_PROPERTIES = {"$set", "$set_once", "token", "distinct_id"}
_OPTIONS = {
    "process_person_profile": "$process_person_profile",
    "disable_skew_correction": "$ignore_sent_at",
    "cookieless_mode": "$cookieless_mode",
    "product_tour_id": "$product_tour_id",
}
"""Typed options of newer clients, and the properties that older ones send for them."""
_JSON_TIMES = str | int | float


def calls(sent: Sent) -> Calls:
    """Every body its clients send: one event, a list, or a batch; plain, or base64 in a form."""
    found = cut(unwrap(sent.body))
    # The browser's clock when it sent this, in milliseconds.
    in_query = sent.query.get("_", "")
    sent_at = int(in_query) if in_query.isascii() and in_query.isdigit() else None

    def translate(event: dict[str, Any]) -> dict[str, Any]:
        return _call(event, sent.received_at)

    return found.translated(translate, found.envelope.get("sent_at") or sent_at)


def events(sent: Sent) -> Calls:
    """What newer clients post to ``/i/v1/analytics/events``: some properties stand beside the
    others and the library is named in a header."""
    found = cut(sent.body)
    sdk = sent.headers.get("posthog-sdk-info", "")
    name, _, version = sdk.partition("/")
    library = given(**{"$lib": name, "$lib_version": version})

    def translate(event: dict[str, Any]) -> dict[str, Any]:
        return _call(_older(event, library), sent.received_at)

    shared = msgspec.json.encode({"headers": given(**{"posthog-sdk-info": sdk})})
    return replace(found.translated(translate), shared=shared)


def _older(event: dict[str, Any], library: dict[str, Any]) -> dict[str, Any]:
    options = mapping(event.get("options"))
    moved = {name: options.get(option) for option, name in _OPTIONS.items()}
    moved |= {f"${name}": event.get(name) for name in ("session_id", "window_id")}
    return event | {"properties": {**library, **mapping(event.get("properties")), **given(**moved)}}


def _call(event: dict[str, Any], received_at: int) -> dict[str, Any]:
    name = text(event.get("event"))
    properties = mapping(event.get("properties"))
    learned = _learned(event, properties)
    said = {
        "type": "track",
        "event": name,
        "messageId": event.get("uuid"),
        "timestamp": _time(event, received_at),
        "sentAt": event.get("sent_at"),
        "channel": "server" if _keeps_time(properties) else None,
        "context": _context(properties, learned),
        "groupId": _only_group(properties),
        **_person(event, name, properties),
    }
    own = {key: value for key, value in properties.items() if key not in _NOT_PROPERTIES}
    if name in ("$identify", "$set"):
        return said | {"type": "identify", "traits": learned}
    if name == "$create_alias":
        return said | {"type": "alias", **_alias(properties, said)}
    if name == "$groupidentify":
        if _is_nobody(said.get("anonymousId"), properties):
            said["context"] |= {"account": {"member": False}}
        return said | {
            "type": "group",
            "groupId": properties.get("$group_key"),
            "traits": mapping(properties.get("$group_set")),
        }
    if name == "$pageview":
        return said | {"type": "page", "properties": _page(properties) | own}
    if name == "$screen":
        return said | {"type": "screen", "name": properties.get("$screen_name"), "properties": own}
    return said | {"properties": own, "traits": learned}


def _person(event: dict[str, Any], name: str, properties: dict[str, Any]) -> dict[str, Any]:
    distinct = event.get("distinct_id")
    # The browser's client has it among the properties.
    distinct = properties.get("distinct_id") if distinct in (None, "") else distinct
    if name == "$identify":
        return {"userId": distinct, "anonymousId": properties.get("$anon_distinct_id")}
    if name == "$groupidentify" and _is_made_up(distinct):
        return {"anonymousId": distinct}
    return (
        {"anonymousId": distinct} if _is_anonymous(distinct, properties) else {"userId": distinct}
    )


def _keeps_time(properties: dict[str, Any]) -> bool:
    return bool(properties.get("$is_server")) or properties.get("$ignore_sent_at") is True


def _is_made_up(distinct: Any) -> bool:
    """Of a group nobody belongs to yet: servers put ``$company_g1`` or a random UUID."""
    return isinstance(distinct, str) and bool(distinct[:1] == "$" or _UUID.fullmatch(distinct))


def _is_anonymous(distinct: Any, properties: dict[str, Any]) -> bool:
    if properties.get("$is_identified") is True or properties.get("$user_id"):
        return False
    return (
        properties.get("$process_person_profile") is False
        or properties.get("$is_identified") is False
        or (distinct is not None and properties.get("$device_id") == distinct)
        or properties.get("$lib") == "web"
    )


def _is_nobody(distinct: Any, properties: dict[str, Any]) -> bool:
    """A browser's visitor has a random UUID as well, but is somebody."""
    return _is_made_up(distinct) and (distinct[:1] == "$" or bool(properties.get("$is_server")))


def _alias(properties: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    distinct = properties.get("distinct_id", said.get("userId") or said.get("anonymousId"))
    other = properties.get("alias")
    # Python's alias(previous, new) and a page's alias(new) of a visitor say them the other way
    # around than the others do.
    library = properties.get("$lib")
    if library == "posthog-python" or (library == "web" and _is_anonymous(distinct, properties)):
        distinct, other = other, distinct
    return {"userId": distinct, "previousId": other, "anonymousId": None}


def _learned(event: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """Traits stand inside the properties (servers) or beside them (browser, ``$set`` events)."""
    places = [
        mapping(place.get(name)) for name in ("$set_once", "$set") for place in (properties, event)
    ]
    return {key: value for place in places for key, value in place.items()}


def _only_group(properties: dict[str, Any]) -> Any:
    groups = list(mapping(properties.get("$groups")).values())
    return groups[0] if len(groups) == 1 and isinstance(groups[0], str | int) else None


def _time(event: dict[str, Any], received_at: int) -> Any:
    stamp = event.get("timestamp")
    if stamp not in (None, ""):
        return stamp if isinstance(stamp, _JSON_TIMES) else None
    offset = event.get("offset")
    # Milliseconds between the event and its sending.
    return received_at - offset if isinstance(offset, int) and 0 <= offset <= received_at else None


def _page(properties: dict[str, Any]) -> dict[str, Any]:
    return given(
        url=properties.get("$current_url"),
        path=properties.get("$pathname"),
        referrer=properties.get("$referrer"),
        title=properties.get("title"),
    )


def _context(properties: dict[str, Any], learned: dict[str, Any]) -> dict[str, Any]:
    library = given(name=properties.get("$lib"), version=properties.get("$lib_version"))
    campaign = given(
        name=properties.get("utm_campaign"),
        **{name: properties.get(f"utm_{name}") for name in ("source", "medium", "term", "content")},
    )
    return given(
        library=library,
        page=_page(properties),
        campaign=campaign,
        userAgent=properties.get("$raw_user_agent"),
        ip=properties.get("$ip"),
        timezone=properties.get("$timezone"),
        sessionId=properties.get("$session_id"),
        groups=mapping(properties.get("$groups")),
        traits=learned,
    )
