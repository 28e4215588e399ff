"""The change feed's entries for a block, in the order readers should see them. Pure."""

from collections.abc import Iterable

from services.contracts.changes import Change
from services.contracts.events import Event
from services.profile.identity.resolve import Resolution
from services.profile.identity.store import Linked
from services.profile.stream.fold import Folded


def event_entries(events: list[Event], resolution: Resolution) -> list[Change]:
    """One ``event`` per event, under the profile it had then, and merges where they happened."""
    entries: list[Change] = []
    merges = iter(resolution.merges)
    pending = next(merges, None)
    for index, event in enumerate(events):
        while pending is not None and pending.index == index:
            data = {"merged_id": pending.loser}
            entries.append(Change("profile.merged", pending.winner, event.occurred_at, data))
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
    return entries


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
        if consents is not None:
            entries += [
                Change(
                    "consent.changed",
                    profile_id,
                    consents.current[place].told_at,
                    {**place._asdict(), "state": consents.current[place].state},
                )
                for place in sorted(consents.changed)
            ]
    return entries
