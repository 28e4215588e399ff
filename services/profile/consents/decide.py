"""Whether a person may be written to for a purpose, from what was said at several levels. Pure.

The send gate of the orchestrator decides by the same rule in SQL; ``docs/consents.md`` holds the
table of cases that both are tested with.
"""

from collections.abc import Collection, Iterable, Mapping

from services.profile.consents.ledger import ANY, ConsentState, Held, Place

Said = Mapping[Place, Held]
_BEST: tuple[ConsentState, ...] = ("granted", "withdrawn", "pending")


def decide(said: Said, target: Place, presumed: bool = False) -> ConsentState | None:
    """The state for one purpose, channel and contact point; None where nothing was said.

    What was said at the target or at any level above it counts. A withdrawal stands until a later
    grant at its own level or at one inside it; so it is never undone by a broader grant, and never
    by an older one; asked to be undone, it stands as ``pending``. ``presumed``: where nothing was
    said, the law takes it as granted.
    """
    levels = [
        (place, held)
        for channel in dict.fromkeys((ANY, target.channel))
        for contact_point in dict.fromkeys((ANY, target.contact_point))
        if (held := said.get(place := Place(target.purpose, channel, contact_point))) is not None
    ]
    if not levels:
        return "granted" if presumed else None
    grants = [(place, held.at) for place, held in levels if held.state == "granted"]
    standing = [
        held
        for place, held in levels
        if held.state == "withdrawn"
        and not any(at > held.at and _within(grant, place) for grant, at in grants)
    ]
    if standing:
        return "pending" if all(held.waits for held in standing) else "withdrawn"
    return "granted" if grants else "pending"


def _within(inner: Place, outer: Place) -> bool:
    return outer.channel in (ANY, inner.channel) and outer.contact_point in (
        ANY,
        inner.contact_point,
    )


def overall(said: Said, presumed: Collection[str] = ()) -> dict[str, ConsentState]:
    """By purpose, what rules read as ``consent.<purpose>``: granted where the person may be written
    to on some channel at some contact point; else withdrawn, else pending."""
    found: dict[str, set[ConsentState]] = {}
    for place in said:
        state = decide(said, place, place.purpose in presumed)
        if state is not None:
            found.setdefault(place.purpose, set()).add(state)
    for purpose in presumed:
        state = decide(said, Place(purpose), presumed=True)
        if state is not None:
            found.setdefault(purpose, set()).add(state)
    return {purpose: next(s for s in _BEST if s in found[purpose]) for purpose in sorted(found)}


def on_channels(
    said: Said, purpose: str, channels: Collection[str], presumed: bool = False
) -> ConsentState | None:
    """The best of what it comes to on these channels, at the contact points spoken of or others."""
    points = {ANY, *(place.contact_point for place in said if place.purpose == purpose)}
    targets = (Place(purpose, channel, point) for channel in channels for point in points)
    found = {decide(said, target, presumed) for target in targets}
    return next((s for s in _BEST if s in found), None)


def matrix(
    said: Said, contact_points: Iterable[tuple[str, str]], presumed: Collection[str] = ()
) -> list[tuple[Place, ConsentState | None]]:
    """The state of every purpose known at every contact point, given as (channel, address)."""
    purposes = sorted({place.purpose for place in said} | set(presumed))
    return [
        (target, decide(said, target, purpose in presumed))
        for channel, address in contact_points
        for purpose in purposes
        if (target := Place(purpose, channel, address))
    ]
