"""What live counting takes from raw events, and how values are compared."""

from services.rules.aggregates import Aggregate, Value
from services.rules.filters import filter_of
from services.rules.memory import PastEvent
from services.rules.partials import Sample


def samples(of: Aggregate, history: list[PastEvent]) -> list[Sample]:
    """The samples of one person's events."""
    matches = filter_of(of.leaf.where)
    found = (
        of.sample(e.properties, e.time_ms)
        for e in history
        if e.event == of.leaf.event and matches(e.properties, e.context)
    )
    return [sample for sample in found if sample is not None]


def same(one: Value, other: Value) -> bool:
    """Equal, and neither a number in place of a boolean nor the other way round."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)
