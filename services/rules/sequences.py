"""Steps one after another, in memory: from which first steps the others follow."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping

from services.rules.leaves import EMPTY, LeafState
from services.rules.model import Leaf, Sequence

States = Mapping[str, LeafState]


def sequence_holds(sequence: Sequence, states: States, now_ms: int) -> bool:
    return any(_counts(sequence, start, now_ms) for start in starts(sequence, states))


def sequence_change(sequence: Sequence, states: States, now_ms: int) -> int | None:
    """Return the first ms after now at which the truth changes by time passing alone, or None."""
    found = starts(sequence, states)
    holds = any(_counts(sequence, start, now_ms) for start in found)
    spans = [sequence.steps[0].last_ms, sequence.within_ms if sequence.absent else None]
    bounds = sorted(start + span for span in spans if span is not None for start in found)
    for bound in bounds:
        if bound > now_ms and holds != any(_counts(sequence, start, bound) for start in found):
            return bound
    return None


def starts(sequence: Sequence, states: States) -> list[int]:
    """Return the times of first steps which the other steps follow, whatever the clock says.

    The earliest next step is the best one: no other leaves more time for those after it.
    """
    first, *rest = (_times(leaf, states) for leaf in sequence.steps)
    if sequence.absent is None:
        return [start for start in first if _followed(start, rest, sequence.within_ms)]
    absent = states.get(sequence.absent.leaf_id, EMPTY)
    return [start for start in first if _left_alone(start, rest, sequence.within_ms, absent)]


def _followed(start: int, rest: list[list[int]], within_ms: int | None) -> bool:
    last = _earliest(start, rest)
    return last is not None and (within_ms is None or last - start < within_ms)


def _left_alone(
    start: int, rest: list[list[int]], within_ms: int | None, absent: LeafState
) -> bool:
    end = float("inf") if within_ms is None else start + within_ms
    last = start
    if rest:
        # Of the last step before the absent one the latest is best: the least may follow it.
        *between, final = rest
        previous = _earliest(start, between)
        place = bisect_left(final, end) - 1
        if previous is None or place < 0 or final[place] <= previous:
            return False
        last = final[place]
    forgotten = absent.total > len(absent.recent)
    if forgotten and last < absent.recent[-1]:
        return False
    return not any(last < time < end for time in absent.recent)


def _earliest(start: int, rest: list[list[int]]) -> int | None:
    """The earliest time at which all of `rest` have followed, one after another."""
    last = start
    for times in rest:
        place = bisect_right(times, last)
        if place == len(times):
            return None
        last = times[place]
    return last


def _times(leaf: Leaf, states: States) -> list[int]:
    """Oldest first."""
    return list(reversed(states.get(leaf.leaf_id, EMPTY).recent))


def _counts(sequence: Sequence, start: int, now_ms: int) -> bool:
    last_ms = sequence.steps[0].last_ms
    if last_ms is not None and start <= now_ms - last_ms:
        return False
    if sequence.absent is None or sequence.within_ms is None:
        return True
    return start + sequence.within_ms <= now_ms
