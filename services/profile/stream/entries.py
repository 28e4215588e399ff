"""The change feed's entries for a block, in the order readers should see them. Pure."""

from collections.abc import Iterable

from services.contracts.changes import Change
from services.contracts.events import Event
from services.profile.identity.resolve import Merge, Resolution
from services.profile.identity.store import Cause, Linked
from services.profile.stream.fold import Folded


def event_entries(
    events: list[Event], resolution: Resolution, causes: Iterable[Cause]
) -> list[Change]:
    """One ``event`` per event, under the profile it had then, and merges where they happened.

    ``causes``: one per merge. Merges without an event stand at the end.
    """
    entries: list[Change] = []
    merges = zip(resolution.merges, causes, strict=True)
    pending = next(merges, None)
    for index, event in enumerate(events):
        while pending is not None and pending[0].index == index:
            entries.append(_merged(*pending))
            pending = next(merges, None)
        entries.append(
            Change(
                "event",
                resolution.owners[index],
                event.occurred_at,
                {
                    "message_id": event.message_id,
                    "event": event.event,
                    "type": event.type,
                    "subject_id": event.subject_id,
                    "received_at": event.received_at,
                    "properties": event.properties,
                    "context": event.context,
                },
            )
        )
    if pending is not None:
        entries += [_merged(*each) for each in (pending, *merges)]
    return entries


def _merged(merge: Merge, cause: Cause) -> Change:
    return Change("profile.merged", merge.winner, cause.at, {"merged_id": merge.loser})


def linked_entries(links: Iterable[Linked]) -> list[Change]:
    """``identity.linked`` for subjects that belong to a profile other than their own id."""
    return [
        Change(
            "identity.linked",
            link.profile_id,
            link.at,
            {"namespace": link.namespace, "value": link.value, "subject_id": link.subject_id},
        )
        for link in links
        if link.subject_id != link.profile_id
    ]


def fact_entries(folded: Folded, living: Iterable[str], now_ms: int) -> list[Change]:
    """``profile.updated`` and ``consent.changed`` of the profiles that live after the block."""
    entries: list[Change] = []
    for profile_id in living:
        traits = folded.traits.get(profile_id)
        if traits is not None and traits.changed:
            changed = {key: traits.values.get(key) for key in sorted(traits.changed)}
            entries.append(Change("profile.updated", profile_id, now_ms, {"traits": changed}))
        consents = folded.consents.get(profile_id)
        for purpose in sorted(consents.changed) if consents is not None else ():
            state, at = consents.current[purpose]  # type: ignore[union-attr]
            data = {"purpose": purpose, "state": state}
            entries.append(Change("consent.changed", profile_id, at, data))
    return entries
