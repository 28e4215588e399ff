"""RudderStack's ``merge`` call, the only one that Segment does not have. Pure."""

from typing import Any

from services.tracking.ingest.protocols.call import Calls, Sent, cut, mapping, text
from services.tracking.ingest.refused import Refused

_NAMES = {
    "user_id": "userId", "userid": "userId",
    "anonymous_id": "anonymousId", "anonymousid": "anonymousId",
    "email": "email", "phone": "phone", "mobile": "phone",
}  # fmt: skip


def calls(sent: Sent) -> Calls:
    found = cut(sent.body)
    return found.translated(_merge, found.envelope.get("sentAt"))


def _merge(event: dict[str, Any]) -> dict[str, Any]:
    """Two ids of one kind are an alias; ids of several kinds identify one person."""
    pairs = event.get("mergeProperties")
    if not isinstance(pairs, list) or len(pairs) != 2:
        raise Refused("invalid", "/mergeProperties", "Exactly two ids are needed.")
    ids: dict[str, list[Any]] = {}
    for index, pair in enumerate(map(mapping, pairs)):
        name = _NAMES.get(text(pair.get("type")).lower())
        if name is None or not pair.get("value"):
            known = ", ".join(("user_id", "anonymous_id", "email", "phone"))
            detail = f"An id is a type (one of {known}) and a value."
            raise Refused("invalid", f"/mergeProperties/{index}", detail)
        ids.setdefault(name, []).append(pair["value"])
    if len(ids) == 1:
        (same,) = ids.values()
        return event | {"type": "alias", "userId": same[0], "previousId": same[1]}
    traits = {name: ids[name][0] for name in ("email", "phone") if name in ids}
    named = {name: ids[name][0] for name in ("userId", "anonymousId") if name in ids}
    return event | named | {"type": "identify", "traits": traits}
