"""What is refused, what is said about it, and which trees are the same rule."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.rules import Group
from services.rules import RuleInvalid, event_node, fields, held, leaf_of, leaves, normalise, parts
from tests.rules.strategies import PATHS, conditions, event_nodes, is_rule, sequence_nodes, trees

Tree = dict[str, Any]

A: Tree = {"field": "traits.a", "operator": "=", "value": 1}
B: Tree = {"field": "traits.b", "operator": "=", "value": "x"}


def _and(*rules: Tree, **more: Any) -> Tree:
    return {"combinator": "and", "rules": list(rules), **more}


def _deep(levels: int) -> Tree:
    tree = A
    for _ in range(levels):
        tree = _and(tree)
    return tree


def _in(value: Any, operator: str = "=", field: str = "traits.a") -> Tree:
    return _and({"field": field, "operator": operator, "value": value})


def _sequence(*steps: Tree, **more: Any) -> Tree:
    return _and({"sequence": list(steps), **more})


E: Tree = {"event": "A"}
NOT_B: Tree = {"event": "B", "did": False}

REFUSED: list[tuple[str, Any, str, str]] = [
    ("one step", _sequence(E), "/rules/0/sequence", "at least 2"),
    ("six steps", _sequence(*[E] * 6), "/rules/0/sequence", "at most 5"),
    ("did not at first", _sequence(NOT_B, E), "/rules/0/sequence/0/did", "last step only"),
    ("a step of no event", _sequence(E, A), "/rules/0/sequence/1", ""),
    ("NUL in a step", _sequence(E, {"event": "\0"}), "/rules/0/sequence/1/event", "NUL"),
    (
        "a trait inside a step",
        _sequence(E, {"event": "B", "where": _and(A)}),
        "/rules/0/sequence/1/where/rules/0/field",
        "properties.<path>",
    ),
    (
        "what never can have followed",
        _sequence(E, {**NOT_B, "where": _in([], "in", "properties.a")}),
        "/rules/0/sequence/1/where",
        "some event",
    ),
    (
        "two lengths",
        _sequence(E, E, within={"days": 1, "seconds": 1}),
        "/rules/0/within",
        "either seconds or days",
    ),
    (
        "a wait that outlasts its window",
        _sequence(E, NOT_B, within={"days": 1}, window={"last_days": 1}),
        "/rules/0/within",
        "shorter than the window",
    ),
    (
        "a wait beyond the calendar",
        _sequence(E, NOT_B, within={"days": 2}, window={"before": "2199-12-31T00:00:00Z"}),
        "/rules/0/window/before",
        "2199",
    ),
    ("no length", _and({"held": _and(A)}), "/rules/0/for", "required"),
    ("a length of nothing", _and({"held": _and(A), "for": {}}), "/rules/0/for", "either"),
    (
        "held inside an event",
        _and({"event": "A", "where": {"held": _and(A)}}),
        "/rules/0/where",
        "",
    ),
    (
        "an unknown field in what has held",
        _and({"held": _in(1, field="password"), "for": {"days": 1}}),
        "/rules/0/held/rules/0/field",
        "traits.<path>",
    ),
    ("a bucket's name", _in("a", "=", "bucket.a"), "/rules/0/operator", "between"),
    ("a part of a bucket", _in(0.5, "<", "bucket.a"), "/rules/0/value", "whole numbers"),
    ("a bucket's string", _in("5", "<", "bucket.a"), "/rules/0/value", "whole numbers"),
    ("too many buckets", _in([0, 10_001], "between", "bucket.a"), "/rules/0/value", "10000"),
    ("a bucket without salt", _in(1, "<", "bucket"), "/rules/0/field", "bucket.<salt>"),
    ("not an object", 7, "", "as a JSON object"),
    ("a node that is not an object", _and(7), "/rules/0", "as a JSON object"),  # type: ignore[arg-type]
    ("an unknown key", _and({**A, "sql": "1=1"}), "/rules/0/sql", "not known"),
    ("no operator", _and({"field": "traits.a"}), "/rules/0/operator", "required"),
    ("an unknown operator", _in(1, "=~"), "/rules/0/operator", "'='"),
    ("an unknown combinator", {"combinator": "xor", "rules": []}, "/combinator", "'and' or 'or'"),
    ("an unknown field", _in(1, field="password"), "/rules/0/field", "traits.<path>"),
    ("an event's field outside", _in(1, field="properties.a"), "/rules/0/field", "segment"),
    (
        "a trait inside an event",
        _and({"event": "A", "where": _and(A)}),
        "/rules/0/where/rules/0/field",
        "properties.<path>",
    ),
    (
        "an event inside an event",
        _and({"event": "A", "where": _and({"event": "B"})}),
        "/rules/0/where/rules/0",
        "only groups and conditions",
    ),
    ("an empty path", _in(1, field="traits."), "/rules/0/field", "keys joined by dots"),
    ("an empty key", _in(1, field="traits.a..b"), "/rules/0/field", "keys joined by dots"),
    ("a path of eleven", _in(1, field="traits" + ".a" * 11), "/rules/0/field", "1 to 10 keys"),
    ("a segment's path", _in("x", field="segment.a"), "/rules/0/field", "no path"),
    ("NUL in a path", _in(1, field="traits.\0"), "/rules/0/field", "keys"),
    ("NUL in a string", _in("a\0"), "/rules/0/value", "NUL"),
    ("NUL in an event", _and({"event": "\0"}), "/rules/0/event", "NUL"),
    ("a lone surrogate", _in("\ud800"), "/rules/0/value", "string"),
    ("null as a value", _in(None), "/rules/0/value", "null has operators"),
    ("a value for null", _in(1, "null"), "/rules/0/value", "no value"),
    ("an object as a value", _in({"a": 1}), "/rules/0/value", '"time"'),
    ("a list within a list", _in([1, [2]], "in"), "/rules/0/value", "list of these"),
    ("a list for =", _in([1]), "/rules/0/value", "a string, number, boolean or time"),
    ("a scalar for in", _in(1, "in"), "/rules/0/value", "a list"),
    ("null in a list", _in([None], "in"), "/rules/0/value", "list of these"),
    ("one value for between", _in([1], "between"), "/rules/0/value", "two values"),
    ("two types for between", _in([1, "2"], "between"), "/rules/0/value", "two numbers"),
    ("booleans in order", _in(True, "<"), "/rules/0/value", "order"),
    ("booleans for between", _in([False, True], "between"), "/rules/0/value", "two numbers"),
    ("a number as a prefix", _in(1, "beginsWith"), "/rules/0/value", "string"),
    ("an empty part", _in("", "contains"), "/rules/0/value", "not empty"),
    ("an integer no store agrees on", _in(2**53), "/rules/0/value", "2^53"),
    ("infinity", _in(float("inf")), "/rules/0/value", "number"),
    ("not a number", _in(float("nan")), "/rules/0/value", "number"),
    ("a huge string", _in("x" * 1001), "/rules/0/value", "1000"),
    ("a huge list", _in([*range(1001)], "in"), "/rules/0/value", "1000"),
    ("an order of stages", _in("x", "<", "stage"), "/rules/0/operator", "notNull"),
    ("a segment that is null", _in(None, "null", "segment"), "/rules/0/operator", "notIn"),
    ("a stage that is a number", _in(1, field="stage"), "/rules/0/value", "string"),
    ("a time without a zone", _in({"time": "2026-01-01T00:00:00"}), "/rules/0/value/time", "zone"),
    ("a time as a number", _in({"time": 5}), "/rules/0/value/time", "zone"),
    ("a time of no calendar", _in({"time": "2026-02-30T00:00:00Z"}), "/rules/0/value/time", "day"),
    ("a time long ago", _in({"time": "1700-01-01T00:00:00Z"}), "/rules/0/value/time", "1910"),
    (
        "a count as text",
        _and({"event": "A", "count": {"value": "3"}}),
        "/rules/0/count/value",
        "int",
    ),
    ("a negative count", _and({"event": "A", "count": {"value": -1}}), "/rules/0/count/value", "0"),
    ("an empty window", _and({"event": "A", "window": {}}), "/rules/0/window", "last_days"),
    (
        "two kinds of window",
        _and({"event": "A", "window": {"last_days": 1, "after": "2026-01-01T00:00:00Z"}}),
        "/rules/0/window",
        "either",
    ),
    (
        "a window that ends before it starts",
        _and(
            {
                "event": "A",
                "window": {"after": "2026-01-01T00:00:00Z", "before": "2026-01-01T00:00:00+00:00"},
            }
        ),
        "/rules/0/window/before",
        "later",
    ),
    ("an eternal window", _and({"event": "A", "window": {"last_days": 9999}}), "", "3650"),
]


@pytest.mark.parametrize(
    ("tree", "pointer", "detail"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_refusal_points_at_the_place_and_says_what_is_accepted(
    tree: Any, pointer: str, detail: str
) -> None:
    with pytest.raises(RuleInvalid) as refused:
        normalise(tree)
    assert refused.value.pointer.startswith(pointer)
    assert detail.lower() in refused.value.detail.lower()


@pytest.mark.parametrize("levels", [10, 50, 300, 100_000])
def test_a_tree_too_deep_is_refused_whatever_its_depth(levels: int) -> None:
    with pytest.raises(RuleInvalid, match="at most 10 levels"):
        normalise(_deep(levels))
    assert normalise(_deep(9)).hash == normalise(A).hash
    tree = A
    for _ in range(levels):
        tree = {"held": _and(tree), "for": {"days": 1}}
    with pytest.raises(RuleInvalid, match="at most 10 levels"):
        normalise(tree)


def test_a_tree_of_ten_thousand_nodes_is_refused() -> None:
    with pytest.raises(RuleInvalid, match="at most 200 nodes"):
        normalise(_and(*[A] * 10_000))
    with pytest.raises(RuleInvalid, match="at most 200 nodes"):
        normalise(_and(*[_and(*[A] * 50)] * 50))
    with pytest.raises(RuleInvalid, match="at most 200 nodes"):
        normalise(_and(*[{"sequence": [E] * 5}] * 40))
    normalise(_and(*[A] * 199))


def test_a_tree_of_too_much_text_is_refused() -> None:
    with pytest.raises(RuleInvalid, match="100000 characters"):
        normalise(_in([f"{i:0200}" for i in range(501)], "in"))


NEVER = _in([], "in", "properties.a")
SAME: list[tuple[str, Tree, Tree]] = [
    ("order", _and(A, B), _and(B, A)),
    ("doubles", _and(A, B, A), _and(A, B)),
    ("nesting", _and(_and(A), _and(B)), _and(A, B)),
    ("double negation", _and(_and(A, **{"not": True}), **{"not": True}), _and(A)),
    ("opposites", _and({**A, "operator": "!="}), _and(A, **{"not": True})),
    ("one of one", _in([1], "in"), _and(A)),
    ("1 and 1.0", _in(1.0), _and(A)),
    ("an editor's ids", _and({**A, "id": "7"}, id="root"), _and(A)),
    (
        "more than none",
        _and({"event": "A", "count": {"operator": ">", "value": 0}}),
        _and({"event": "A"}),
    ),
    (
        "not at all",
        _and({"event": "A", "did": False}),
        _and({"event": "A", "count": {"operator": "=", "value": 0}}),
    ),
    (
        "a day",
        _and({"event": "A", "window": {"last_days": 1}}),
        _and({"event": "A", "window": {"last_seconds": 86_400}}),
    ),
    ("zones", _in({"time": "2026-01-01T08:00:00+08:00"}), _in({"time": "2026-01-01T00:00:00Z"})),
    ("an empty group", _and(A, _and()), _and(A)),
    (
        "a day between",
        _sequence(E, E, within={"days": 1}),
        _sequence(E, E, within={"seconds": 86_400}),
    ),
    ("a sequence's opposite", _sequence(E, E, did=False), _and(_sequence(E, E), **{"not": True})),
    (
        "what has held",
        _and({"held": _and(A, B), "for": {"days": 1}}),
        _and({"held": _and(B, A), "for": {"days": 1}}),
    ),
    ("held for nobody", _and({"held": _in([], "in"), "for": {"days": 1}}), _in([], "in")),
    ("any at all of what cannot be", _sequence(E, {"event": "B", "where": NEVER}), _in([], "in")),
    ("any at all of nobody", {"combinator": "or", "rules": [A, _in([], "in")]}, _and(A)),
]


@pytest.mark.parametrize(("one", "other"), [r[1:] for r in SAME], ids=[r[0] for r in SAME])
def test_trees_of_one_meaning_have_one_hash(one: Tree, other: Tree) -> None:
    assert normalise(one) == normalise(other)


DIFFERENT: list[tuple[Tree, Tree]] = [
    (_in(1), _in(True)),
    (_in(1), _in("1")),
    (_in("a"), _in("A")),
    (_in(1, field="traits.a.b"), _in(1, field="traits.b.a")),
    (_and(A, B), {"combinator": "or", "rules": [A, B]}),
    (_and({"event": "A"}), _and({"event": "A", "did": False})),
    (_sequence(E, {"event": "B"}), _sequence({"event": "B"}, E)),
    (_sequence(E, {"event": "B"}), _sequence(E, NOT_B)),
    (_sequence(E, {"event": "B"}), _sequence(E, {"event": "B"}, within={"days": 1})),
    (_and({"held": _and(A), "for": {"days": 1}}), _and({"held": _and(A), "for": {"days": 2}})),
    (_in(1, "<", "bucket.a"), _in(1, "<", "bucket.b")),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_trees_of_two_meanings_have_two_hashes(one: Tree, other: Tree) -> None:
    assert normalise(one).hash != normalise(other).hash


def test_hashes_never_change_between_releases() -> None:
    tree = _and(A, {"event": "Order Completed", "where": _in("x", field="properties.a")})
    rule = normalise(tree)
    assert rule.hash == "9fd921d8b3e53baf6a3a87be34814576"
    assert [leaf.leaf_id for leaf in rule.leaves] == ["17c65b0550bc29cc83d530e737637766"]


def test_a_count_is_no_part_of_a_leaf() -> None:
    often = normalise(_and({"event": "A", "count": {"operator": ">=", "value": 5}}, {"event": "A"}))
    assert len(leaves(often)) == 1


def test_the_fields_a_rule_reads_are_known() -> None:
    rule = normalise(
        _and(A, {"field": "segment", "operator": "notIn", "value": ["s", "t"]}, {"event": "E"})
    )
    assert fields(rule) == {("traits", ("a",)), ("segment", ("s",)), ("segment", ("t",))}


def test_what_has_held_is_a_rule_of_its_own_and_a_segment_is_its_own_rule() -> None:
    inner = {"held": _and(A, {"held": _and(B), "for": {"days": 1}}), "for": {"days": 1}}
    assert [fields(part) for part in parts(normalise(inner))] == [
        set(),
        {("traits", ("a",))},
        {("traits", ("b",))},
    ]
    (node,) = held(normalise({"held": _in("s", field="segment"), "for": {"days": 1}}))
    assert (node.key, node.segment) == ("s", True)


@given(st.one_of(event_nodes(), sequence_nodes().filter(is_rule)))
@settings(max_examples=150, deadline=None)
def test_a_leaf_survives_the_wire(node: Tree) -> None:
    for leaf in normalise(node).leaves:
        assert leaf_of(event_node(leaf)) == leaf
        assert leaf_of(event_node(leaf).model_dump(mode="json", by_alias=True)) == leaf


@given(trees(conditions([f"traits.{path}" for path in PATHS])))
@settings(max_examples=100, deadline=None)
def test_a_wire_model_and_its_json_are_the_same_rule(tree: Tree) -> None:
    model = Group.model_validate(tree)
    assert normalise(model) == normalise(tree)
    assert normalise(model.model_dump(mode="json", by_alias=True)) == normalise(tree)
