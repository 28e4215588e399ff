"""Sequences in SQL: from every first step on to the earliest next one, as `sequences` does."""

from collections.abc import Callable

from services.rules.binds import ParamValue
from services.rules.leaves import KEEP, oldest_ms
from services.rules.model import Leaf, Sequence

Bind = Callable[[ParamValue, str], str]
"""Binds a value as an SQL type: the placeholder."""

_NONE = "toInt64(9223372036854775807)"
"""Later than all times: no such step."""


def in_postgres(sequence: Sequence, now_ms: int, table: str, person: str, bind: Bind) -> str:
    """Return a condition, never NULL, over `table` as `Columns.leaf_state` has it."""

    def of(alias: str, leaf: Leaf) -> str:
        own = f"{alias}.profile_id = {person}"
        return f"{own} AND {alias}.leaf_id = {bind(leaf.leaf_id, 'text')}"

    first, *rest = sequence.steps
    end = None if sequence.within_ms is None else f"t0.t + {bind(sequence.within_ms, 'bigint')}"
    tables, last = [f"{table} AS s0", "LATERAL unnest(s0.recent) AS t0(t)"], "t0.t"
    for i, leaf in enumerate(rest, 1):
        best, before = "min", ""
        if sequence.absent is not None and i == len(rest):
            best, before = "max", f" AND u.t < {end}" if end else ""
        # S608 sees SQL being formatted: the fragments are ours, every value is bound.
        tables.append(
            f"LATERAL (SELECT {best}(u.t) AS t FROM {table} AS s, unnest(s.recent) AS u(t)"  # noqa: S608
            f" WHERE {of('s', leaf)} AND u.t > {last}{before}) AS t{i}"
        )
        last = f"t{i}.t"
    conditions = [of("s0", first), f"{last} < {end}" if end else f"{last} IS NOT NULL"]
    if first.last_ms is not None:
        conditions.append(f"t0.t >= {bind(oldest_ms(first, now_ms), 'bigint')}")
    if sequence.absent is not None:
        before = f" AND u.t < {end}" if end else ""
        followed = f"EXISTS (SELECT 1 FROM unnest(b.recent) AS u(t) WHERE u.t > {last}{before})"  # noqa: S608
        forgotten = f"(b.total > {KEEP} AND b.recent[{KEEP}] > {last})"
        conditions.append(
            f"NOT EXISTS (SELECT 1 FROM {table} AS b"  # noqa: S608
            f" WHERE {of('b', sequence.absent)} AND ({followed} OR {forgotten}))"
        )
        if end:
            conditions.append(f"{end} <= {bind(now_ms, 'bigint')}")
    found, holds = ", ".join(tables), " AND ".join(conditions)
    return f"EXISTS (SELECT 1 FROM {found} WHERE {holds})"  # noqa: S608


def in_clickhouse(
    sequence: Sequence, now_ms: int, time: str, rows: Callable[[Leaf], str], bind: Bind
) -> str:
    """Return a HAVING condition; `time`: ms of a row; `rows`: which rows a leaf counts, ever."""

    def latest(leaf: Leaf) -> str:
        return f"arrayMap(t -> -t, groupArraySortedIf({KEEP:d})(-{time}, {rows(leaf)}))"

    first, *rest = sequence.steps
    end = None if sequence.within_ms is None else f"p.1 + {bind(sequence.within_ms, 'Int64')}"
    # Pairs (first step, step reached), newest first: an array again after every step, because
    # what stands inside a lambda is computed anew for each element.
    pairs = f"arrayMap(t -> (t, t), {latest(first)})"
    for i, leaf in enumerate(rest, 1):
        best, before = "arrayLastOrNull", ""
        if sequence.absent is not None and i == len(rest):
            best, before = "arrayFirstOrNull", f" AND x < {end}" if end else ""
        reached = f"{best}(x -> x > p.2{before}, {latest(leaf)})"
        pairs = f"arrayMap(p -> (p.1, ifNull({reached}, {_NONE})), {pairs})"
    conditions = [f"p.2 < {end}" if end else f"p.2 < {_NONE}"]
    if first.last_ms is not None:
        conditions.append(f"p.1 >= {bind(oldest_ms(first, now_ms), 'Int64')}")
    if sequence.absent is not None:
        absent, before = latest(sequence.absent), f" AND x < {end}" if end else ""
        known = f"(countIf({rows(sequence.absent)}) <= {KEEP:d} OR p.2 >= ({absent})[{KEEP:d}])"
        conditions += [f"NOT arrayExists(x -> x > p.2{before}, {absent})", known]
        if end:
            conditions.append(f"{end} <= {bind(now_ms, 'Int64')}")
    return f"arrayExists(p -> {' AND '.join(conditions)}, {pairs})"
