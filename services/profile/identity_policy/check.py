"""Which identity policies are accepted. Pure."""

from collections.abc import Sequence

from services.contracts.identity import BUILT_IN_KINDS, MAX_CUSTOM, Limit, Namespace
from services.identifiers.patterns import matcher
from services.identifiers.values import is_region
from services.kit.problems import InvalidRequest

_STANDS_IN = "subject"
"""What profile calls the identifier of an event that has none."""
_ONCE = Limit(count=1, window_days=None)


def check(namespaces: Sequence[Namespace]) -> None:
    """``InvalidRequest`` at the field that is not acceptable."""
    if namespaces[0].name != "user_id":
        raise InvalidRequest.at("#/namespaces/0/name", "user_id comes first; the others follow.")
    seen: set[str] = set()
    for index, namespace in enumerate(namespaces):
        pointer = f"#/namespaces/{index}"
        if namespace.name.lower() in seen:
            detail = f"{namespace.name} is there already; upper and lower case do not tell apart."
            raise InvalidRequest.at(f"{pointer}/name", detail)
        seen.add(namespace.name.lower())
        _check_name(namespace, pointer)
        _check_values(namespace, pointer)
    if "anonymous_id" not in seen:
        detail = "anonymous_id has to be among them: many events name nobody else."
        raise InvalidRequest.at("#/namespaces", detail)
    own = [n.name for n in namespaces if n.name not in BUILT_IN_KINDS]
    if len(own) > MAX_CUSTOM:
        detail = f"At most {MAX_CUSTOM} namespaces of your own are accepted, not {len(own)}."
        raise InvalidRequest.at("#/namespaces", detail)


def _check_name(namespace: Namespace, pointer: str) -> None:
    name, lowered = namespace.name, namespace.name.lower()
    if lowered == _STANDS_IN or (lowered in BUILT_IN_KINDS and name != lowered):
        raise InvalidRequest.at(f"{pointer}/name", f"{name} cannot be the name of a namespace.")
    kind = BUILT_IN_KINDS.get(name, namespace.kind)
    if namespace.kind != kind:
        raise InvalidRequest.at(f"{pointer}/kind", f"The kind of {name} is {kind}.")
    if name == "user_id" and namespace.limit != _ONCE:
        detail = 'A profile has one user_id for ever: {"count": 1, "window_days": null}.'
        raise InvalidRequest.at(f"{pointer}/limit", detail)


def _check_values(namespace: Namespace, pointer: str) -> None:
    if namespace.region is not None and namespace.kind != "phone":
        raise InvalidRequest.at(f"{pointer}/region", "Only the kind phone has a region.")
    if namespace.region is not None and not is_region(namespace.region):
        detail = "Use the code of a country by ISO 3166, such as CN or DE."
        raise InvalidRequest.at(f"{pointer}/region", detail)
    for number, pattern in enumerate(namespace.blocked.patterns):
        try:
            matcher([pattern])
        except ValueError as error:
            detail = (
                f"{str(error).capitalize()}: write it without look-around, back references and "
                "large repetitions."
            )
            place = f"{pointer}/blocked/patterns/{number}"
            raise InvalidRequest.at(place, detail) from error
