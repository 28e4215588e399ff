"""Which journeys a change of the feed may let its person into. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.contracts.changes import Change
from services.orchestrator.engine.library import Running
from services.orchestrator.journeys.entries import SegmentEntry, StageEntry, StallEntry

# What a change must be for an entry to listen to it: its type and, with it, its subject.
Heard = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Triggers:
    """The live journeys that listen to changes other than events, and the events of the others."""

    by_change: Mapping[Heard, Sequence[Running]]
    events: frozenset[str]

    def of(self, change: Change) -> Iterable[Running]:
        """Journeys that this change, no event, lets its person into."""
        if change.type == "stage.changed":
            found = self.by_change.get((change.type, change.data["model_id"]), ())
            return [each for each in found if _stage(each, change)]
        if change.type == "stage.stalled":
            subject = f"{change.data['model_id']}/{change.data['stage_id']}"
            return self.by_change.get((change.type, subject), ())
        if change.type in ("segment.entered", "segment.exited"):
            return self.by_change.get((change.type, change.data["segment_id"]), ())
        return ()

    def touches(self, change: Change) -> bool:
        """Whether the change may let anybody in."""
        if change.type == "event":
            return change.data["event"] in self.events
        return bool(self.of(change))


def triggers(running: Iterable[Running]) -> Triggers:
    """Of the journeys that are live: nobody enters a paused one."""
    by_change: dict[Heard, list[Running]] = {}
    events: set[str] = set()
    for each in running:
        if each.state != "live":
            continue
        match each.compiled.graph.entry:
            case SegmentEntry() as entry:
                heard = (f"segment.{entry.change}", str(entry.segment_id))
            case StageEntry() as entry:
                heard = ("stage.changed", str(entry.model_id))
            case StallEntry() as entry:
                heard = ("stage.stalled", f"{entry.model_id}/{entry.stage_id}")
            case _:
                if each.compiled.event_entry is not None:
                    events.add(each.compiled.event_entry.event)
                continue
        by_change.setdefault(heard, []).append(each)
    return Triggers(by_change, frozenset(events))


def _stage(running: Running, change: Change) -> bool:
    entry = running.compiled.graph.entry
    assert isinstance(entry, StageEntry)
    to, left = change.data["to"], change.data["from"]
    return entry.to in (None, to) and entry.from_ in (None, left) and (to, left) != (None, None)
