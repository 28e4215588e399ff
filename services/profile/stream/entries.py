"""The change feed's entries for a block, in the order readers should see them. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.contracts.changes import Change
from services.contracts.events import Event
from services.profile.consents.ledger import Consents, Place
from services.profile.identity.resolve import Merge, Resolution
from services.profile.identity.store import Cause, Linked
from services.profile.stream.fold import Folded
from services.profile.traits.policy import Rules


def event_entries(
    events: list[Event],
    resolution: Resolution,
    causes: Iterable[Cause],
    contexts: Mapping[int, str],
) -> list[Change]:
    """One ``event`` per event, under the profile it had then, and merges where they happened.

    ``causes``: one per merge. Merges without an event stand at the end. ``contexts``: by index, of
    events whose own context is not to be told as it is.
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
                    "context": contexts.get(index, event.context),
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


def fact_entries(folded: Folded, living: Iterable[str], now_ms: int, rules: Rules) -> list[Change]:
    """``profile.updated`` and ``consent.changed`` of the profiles that live after the block."""
    entries: list[Change] = []
    for profile_id in living:
        traits = folded.traits.get(profile_id)
        if traits is not None and traits.changed:
            masked = rules.masked(traits.changed)
            shown = sorted(traits.changed - masked)
            data: dict[str, Any] = {"traits": {key: traits.values.get(key) for key in shown}}
            if masked:
                data["masked"] = sorted(masked)
            entries.append(Change("profile.updated", profile_id, now_ms, data))
        consents = folded.consents.get(profile_id)
        if consents is not None:
            entries += consent_entries(profile_id, consents, consents.changed)
    return entries


def consent_entries(profile_id: str, consents: Consents, places: Iterable[Place]) -> list[Change]:
    held = [(place, consents.current[place]) for place in sorted(places)]
    return [
        Change("consent.changed", profile_id, h.told_at, {**place._asdict(), "state": h.state})
        for place, h in held
    ]
