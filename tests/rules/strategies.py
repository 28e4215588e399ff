"""Random rules, documents and events that meet often enough to tell evaluators apart."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from hypothesis import strategies as st

from services.contracts.computed import AggregateKind
from services.contracts.conditions import Operator
from services.rules import RuleInvalid, held, normalise
from services.rules.aggregates import FAMILY_OF
from services.rules.instants import parse_us
from services.rules.memory import PastEvent
from services.rules.model import Const
from services.rules.normalise import normalise_where

Json = Any
Tree = dict[str, Any]

# Strings that normalise, case-fold, sort or parse differently in careless comparisons.
TEXTS = [
    "",
    "a",
    "A",
    "ab",
    "b",
    "é",
    "e\u0301",
    "ß",
    "SS",
    "İ",
    "中文",
    "中",
    "😀",
    "\uffff",
    "a'b",
    'a"b\\',
    "%",
    "_",
    "{p1:String}",
    ":p1",
    "a\tb\n",
    "1",
    "1.0",
    "true",
    "null",
    " a",
    "2026-03-29T02:30:00+01:00",
    "2026-03-29T01:30:00Z",
    "2026-03-29T03:30:00+02:00",
    "2026-10-25T02:30:00+02:00",
    "2026-10-25T02:30:00.000001+02:00",
    "2026-10-25T00:30:00.5Z",
    "2026-10-25T08:30:00+08:00",
    "2024-02-29T23:59:59Z",
    "2026-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2026-03-29T01:30:00z",
    "2026-03-29T24:00:00Z",
    "2026-03-29",
    "2026-03-29T01:30:00",
    "1950-06-01T00:00:00-09:30",
]
NUMBERS: list[int | float] = [
    0,
    1,
    -1,
    2,
    1.0,
    1.5,
    -0.0,
    0.1,
    0.3,
    0.30000000000000004,
    100,
    1e15,
    2**53 - 1,
    5e-324,
    1e-7,
]
DATA_NUMBERS: list[int | float] = [*NUMBERS, 2**53, 2**53 + 1, 2**63, -(2**63), 1e300, 1e23]
KEYS = ["a", "b", "0", "é", "a b"]
PATHS = ["a", "b", "é", "a b", "a.b", "a.a", "a.0", "b.a.b"]

texts = st.one_of(
    st.sampled_from(TEXTS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
)
scalars: st.SearchStrategy[Json] = st.one_of(
    st.sampled_from(TEXTS), texts, st.sampled_from(NUMBERS), st.booleans()
)
data_scalars = st.one_of(scalars, st.sampled_from(DATA_NUMBERS), st.none())
documents = st.dictionaries(
    st.sampled_from(KEYS),
    st.recursive(
        data_scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=4,
)

INSTANTS = [text for text in TEXTS if parse_us(text) is not None]
times = st.builds(lambda text: {"time": text}, st.sampled_from(INSTANTS))


@st.composite
def conditions(draw: st.DrawFn, fields: list[str]) -> dict[str, Json]:
    """One condition on a field out of `fields`, valid by construction."""
    field = draw(st.sampled_from(fields))
    operator = draw(st.sampled_from(get_args(Operator)))
    if operator in ("null", "notNull"):
        return {"field": field, "operator": operator}
    if operator in ("in", "notIn"):
        value: Json = draw(st.lists(scalars, max_size=4))
    elif operator in ("between", "notBetween"):
        kind = draw(st.sampled_from([texts, st.sampled_from(NUMBERS), times]))
        value = [draw(kind), draw(kind)]
    elif operator in ("contains", "doesNotContain"):
        value = draw(scalars.filter(lambda each: each != ""))
    elif "With" in operator:
        value = draw(texts.filter(bool))
    elif operator in ("=", "!="):
        value = draw(st.one_of(scalars, times))
    else:
        value = draw(st.one_of(texts, st.sampled_from(NUMBERS), times))
    return {"field": field, "operator": operator, "value": value}


def trees(leaves: st.SearchStrategy[dict[str, Json]]) -> st.SearchStrategy[dict[str, Json]]:
    """Groups of `leaves`, nested."""

    def groups(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
        return st.fixed_dictionaries(
            {
                "combinator": st.sampled_from(["and", "or"]),
                "not": st.booleans(),
                "rules": st.lists(inner, max_size=3),
            }
        )

    return groups(st.recursive(leaves, groups, max_leaves=4))


NOW = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
_AGES_S = [0, 1, 59, 60, 61, 118, 120, 3599, 3600, 86_399, 86_400, 86_401, 7 * 86_400]
SPANS_S = [1, 58, 59, 60, 61, 3540, 3600, 82_800, 86_400]
durations = st.builds(lambda seconds: {"seconds": seconds}, st.sampled_from(SPANS_S))
event_names = st.sampled_from(["浏览", "A", "A", "A", "a", "B", "B"])


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Json] | None:
    kind = draw(st.sampled_from(["ever", "seconds", "days", "days", "after", "before", "both"]))
    if kind == "ever":
        return None
    if kind == "seconds":
        return {"last_seconds": draw(st.sampled_from([1, 60, 61, 3600]))}
    if kind == "days":
        return {"last_days": draw(st.sampled_from([1, 7]))}
    ages = sorted(draw(st.lists(st.sampled_from(_AGES_S), min_size=2, max_size=2, unique=True)))
    before, after = (_iso(age) for age in ages)
    return {"after": {"after": after}, "before": {"before": before}}.get(
        kind, {"after": after, "before": before}
    )


def _iso(age_s: int) -> str:
    return (NOW - timedelta(seconds=age_s)).isoformat()


@st.composite
def event_nodes(draw: st.DrawFn) -> dict[str, Json]:
    fields = [f"properties.{path}" for path in PATHS[:3]] + ["context.a"]
    return {
        "event": draw(event_names),
        "did": draw(st.booleans()),
        "count": {
            "operator": draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">="])),
            "value": draw(st.sampled_from([0, 1, 2, 3, 8, 9, 64, 65, 70])),
        },
        "where": draw(st.one_of(st.none(), st.none(), trees(conditions(fields)))),
        "window": draw(windows()),
    }


@st.composite
def sequence_nodes(draw: st.DrawFn) -> dict[str, Json]:
    filters = trees(conditions([f"properties.{path}" for path in PATHS[:2]]))
    steps: list[dict[str, Json]] = [
        {"event": draw(event_names), "where": draw(st.one_of(*[st.none()] * 4, filters))}
        for _ in range(draw(st.sampled_from([2, 2, 2, 3, 3, 5])))
    ]
    if draw(st.booleans()):
        steps[-1]["did"] = False
    return {
        "sequence": steps,
        "within": draw(st.one_of(st.none(), durations, durations)),
        "window": draw(windows()),
        "did": draw(st.booleans()),
    }


def is_rule(tree: Tree) -> bool:
    """Some random trees are refused: too deep, or a wait that outlasts its window."""
    try:
        normalise(tree)
    except RuleInvalid:
        return False
    return True


def held_keys(trees: Iterable[Tree]) -> set[str]:
    return {node.key for tree in trees for node in held(normalise(tree))}


@st.composite
def events(draw: st.DrawFn) -> list[PastEvent]:
    """Up to some hundred events of one person, many at equal times and at window edges."""
    found: list[PastEvent] = []
    for _ in range(draw(st.integers(0, 8))):
        one = PastEvent(
            draw(event_names),
            draw(st.dictionaries(st.sampled_from(KEYS[:2]), data_scalars, max_size=2)),
            draw(st.dictionaries(st.just("a"), data_scalars, max_size=1)),
            NOW_MS - 1000 * draw(st.sampled_from(_AGES_S)) + draw(st.sampled_from([-1, 0, 1])),
        )
        times_seen = draw(st.sampled_from([1, 1, 2, 7, 63, 66]))
        gap = draw(st.sampled_from([0, 1, 977]))
        found += [one._replace(time_ms=one.time_ms - i * gap) for i in range(times_seen)]
    return [event for event in found if event.time_ms <= NOW_MS]


KINDS: tuple[AggregateKind, ...] = get_args(AggregateKind)


@st.composite
def aggregates(draw: st.DrawFn) -> Tree:
    """A definition of a computed trait, valid by construction."""
    kind = draw(st.sampled_from(KINDS))
    fields = [f"properties.{path}" for path in PATHS[:3]] + ["context.a"]
    found: Tree = {"kind": kind, "event": draw(event_names), "window": draw(windows())}
    if FAMILY_OF[kind] != "moments":
        found["property"] = draw(st.sampled_from(["a", "a", "b", "a.b", "é"]))
    if draw(st.integers(0, 2)) == 0:
        where = draw(trees(conditions(fields)))
        if normalise_where(where) != Const(False):
            found["where"] = where
    return found
