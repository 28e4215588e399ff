"""Bounded state per (leaf, profile): enough to answer every rule that reads the leaf."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from services.rules.model import Leaf


class LeafState(NamedTuple):
    """All times in milliseconds since 1970. A plain tuple on the wire: (total, first, …).

    `recent`: the latest times, newest first, at most `leaf.keep`.
    `buckets`: (index, count) pairs, newest first, at most 66 (bucketed leaves only); bucket
    `i` holds the times in [i * width, (i + 1) * width).
    """

    total: int
    first: int | None
    last: int | None
    recent: tuple[int, ...]
    buckets: tuple[tuple[int, int], ...]

    @classmethod
    def from_wire(cls, values: Iterable[Any]) -> "LeafState":
        """Rebuild a state from the lists that msgpack or JSON give back."""
        total, first, last, recent, buckets = values
        return cls(total, first, last, tuple(recent), tuple((i, n) for i, n in buckets))


EMPTY = LeafState(0, None, None, (), ())
MAX_BUCKETS = 66
KEEP = 64
"""The most times that are remembered one by one."""


def inside(leaf: Leaf, time_ms: int) -> bool:
    """Whether a fixed window holds the time; a sliding one holds every time once."""
    return (leaf.after_ms is None or time_ms >= leaf.after_ms) and (
        leaf.before_ms is None or time_ms < leaf.before_ms
    )


def update(state: LeafState, leaf: Leaf, times_ms: Iterable[int]) -> LeafState:
    """Return the state after events at these times (any order) that match event and `where`.

    Events outside a fixed window are left out here. The result does not depend on the order
    of times or of calls.
    """
    times = sorted(times_ms)
    if leaf.last_ms is None and not (leaf.after_ms is None and leaf.before_ms is None):
        times = [time for time in times if inside(leaf, time)]
    if not times:
        return state
    total, first, last, recent, buckets = state
    if leaf.keep:
        recent = tuple(sorted((*times, *recent), reverse=True)[: leaf.keep])
    elif leaf.last_ms is not None:
        width = leaf.width_ms
        buckets = _added(buckets, Counter(time // width for time in times).items())
    return LeafState(
        total + len(times),
        times[0] if first is None else min(first, times[0]),
        times[-1] if last is None else max(last, times[-1]),
        recent,
        buckets,
    )


def merge(one: LeafState, other: LeafState, leaf: Leaf) -> LeafState:
    """Return the state of two disjoint sets of events, as when two profiles become one."""
    if one.first is None or one.last is None:
        return other
    if other.first is None or other.last is None:
        return one
    return LeafState(
        one.total + other.total,
        min(one.first, other.first),
        max(one.last, other.last),
        tuple(sorted(one.recent + other.recent, reverse=True)[: leaf.keep]),
        _added(one.buckets, other.buckets),
    )


def _added(
    some: tuple[tuple[int, int], ...], more: Iterable[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    counts = dict(some)
    for index, n in more:
        counts[index] = counts.get(index, 0) + n
    ordered = sorted(counts.items(), reverse=True)
    # A window of 64 widths touches 65 buckets; what lies further back than the newest event's
    # window can only count again if the clock runs backwards.
    return tuple(pair for pair in ordered if pair[0] > ordered[0][0] - MAX_BUCKETS)


def oldest_ms(leaf: Leaf, now_ms: int) -> int:
    """Return the earliest time a sliding leaf still counts now, in ms.

    A window of length L holds the times t with now - L < t. A bucketed leaf lets all events of
    a bucket leave together, with the bucket's last millisecond, so its bound is a bucket's start.
    """
    assert leaf.last_ms is not None
    first = now_ms - leaf.last_ms + 1
    return first if leaf.keep else first - first % leaf.width_ms


def leaf_count(state: LeafState, leaf: Leaf, now_ms: int) -> int:
    """Return the count now; a sliding leaf with `keep` counts no further than `keep`."""
    if leaf.last_ms is None:
        return state.total
    oldest = oldest_ms(leaf, now_ms)
    if leaf.keep:
        # `recent` is newest first: negate for the ascending order bisect needs.
        return bisect_right(state.recent, -oldest, key=lambda time: -time)
    index = oldest // leaf.width_ms
    return sum(n for i, n in state.buckets if i >= index)


def next_change(state: LeafState, leaf: Leaf, at_least: int, now_ms: int) -> int | None:
    """Return when "at least n times" stops holding by time passing alone, or None.

    In a sliding window a count only falls unless an event comes, so a comparison that does not
    hold now changes only with an event. The returned millisecond is the first one at which it
    no longer holds.
    """
    if leaf.last_ms is None or leaf_count(state, leaf, now_ms) < at_least:
        return None
    if leaf.keep:
        return state.recent[at_least - 1] + leaf.last_ms
    held = 0
    for index, n in state.buckets:
        held += n
        if held >= at_least:
            return (index + 1) * leaf.width_ms - 1 + leaf.last_ms
    return None
