"""When profiles were first and last seen, walked through a block and its merges. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.contracts.events import Event
from services.profile.identity.resolve import Merge

Span = tuple[int, int]
"""First and last event time, in ms."""


@dataclass(slots=True)
class Spans:
    of: dict[str, Span] = field(default_factory=dict)
    """Of every profile when the block ends; of merged ones when they were merged."""
    survivors: dict[str, Span] = field(default_factory=dict)
    """By merged profile: the survivor's right before it took over."""


def walk(
    events: Iterable[Event],
    owners: Sequence[str],
    merges: Iterable[Merge],
    known: Mapping[str, Span],
) -> Spans:
    """``known``: those of the profiles that merge; of others the block alone counts."""
    spans = Spans(dict(known))
    of = spans.of
    rest = iter(merges)
    pending = next(rest, None)
    for index, (owner, event) in enumerate(zip(owners, events, strict=True)):
        while pending is not None and pending.index == index:
            _absorb(spans, pending)
            pending = next(rest, None)
        at = event.occurred_at
        first, last = of.get(owner, (at, at))
        of[owner] = (min(first, at), max(last, at))
    if pending is not None:
        for merge in (pending, *rest):
            _absorb(spans, merge)
    return spans


def _absorb(spans: Spans, merge: Merge) -> None:
    mine, theirs = spans.of[merge.winner], spans.of[merge.loser]
    spans.survivors[merge.loser] = mine
    spans.of[merge.winner] = (min(mine[0], theirs[0]), max(mine[1], theirs[1]))
