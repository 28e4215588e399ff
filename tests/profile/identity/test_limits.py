"""Limits of the identity policy: cases in words, and what holds for any log and any order."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.profile.identity import joint
from services.profile.identity.limits import Era, Limit
from services.profile.identity.nodes import Node
from services.profile.identity.resolve import Identifier, Resolution, linking, resolve
from tests.profile.identity.graph import Graph, sight

DAY = 86_400_000
U1, U2 = ("user_id", "1"), ("user_id", "2")
MAIL = ("email", "x@example.org")


def device(number: int) -> Identifier:
    return ("anonymous_id", str(number))


def run(*events: tuple[int, Sequence[Identifier]]) -> Resolution:
    """Events with the days they happened on."""
    days, named = zip(*events, strict=True)
    return resolve(sight(*named, at=[day * DAY for day in days]), {}, [])


def refused(result: Resolution) -> list[tuple[str, str]]:
    return [(c.identifier[1], c.reason) for c in result.conflicts]


def test_a_sixth_device_within_a_week_is_not_linked_and_its_event_stays() -> None:
    result = run(*((0, [U1, device(n)]) for n in range(6)))
    assert result.owners == ["user_id:1"] * 6
    assert refused(result) == [("5", "limit")]
    assert device(5) not in result.links


def test_a_device_over_the_limit_is_linked_when_the_window_has_passed() -> None:
    result = run(*((0, [U1, device(n)]) for n in range(6)), (7, [U1, device(5)]))
    assert result.links[device(5)] == ("user_id:1", 6)


def test_late_events_count_in_the_week_they_happened_in() -> None:
    now, before = [(9, [U1, device(n)]) for n in range(5)], [(1, [U1, device(9)])]
    assert refused(run(*now, *before)) == refused(run(*before, *now)) == []


def test_no_week_holds_more_than_its_limit_however_late_events_come() -> None:
    around = [(day, [U1, device(day)]) for day in (1, 2, 5, 6, 7)]
    assert refused(run(*around, (4, [U1, device(4)]))) == [("4", "limit")]


def test_what_is_crowded_in_another_week_refuses_nothing() -> None:
    strict, lax = {"openid": Limit(1, DAY)}, {"openid": Limit(9, DAY)}
    named = [[U1, ("openid", str(n))] for n in range(3)]
    log = sight(*named, [U1, ("openid", "late")], at=[0, 0, 0, 5 * DAY])
    result = resolve(log, {}, [], [Era(0, lax), Era(3, strict)])
    assert result.conflicts == []


def test_limits_count_from_their_place_in_the_log() -> None:
    strict, lax = {"openid": Limit(1, None)}, {"openid": Limit(2, None)}
    log = sight(*([U1, ("openid", str(n))] for n in range(4)))
    result = resolve(log, {}, [], [Era(0, strict), Era(2, lax)])
    assert refused(result) == [("1", "limit"), ("3", "limit")]


def test_two_anonymous_profiles_do_not_merge_over_a_limit() -> None:
    left = [(0, [MAIL, device(n)]) for n in range(4)]
    right = [(0, [("phone", "+1"), device(n)]) for n in range(4, 7)]
    result = run(*left, *right, (0, [MAIL, ("phone", "+1")]))
    assert result.merges == []
    assert refused(result) == [("+1", "limit")]


def test_an_identifier_that_may_not_come_keeps_no_other_away() -> None:
    result = run((0, [U1]), (0, [U2, MAIL]), (0, [U1, MAIL, device(1)]))
    assert refused(result) == [(MAIL[1], "two_user_ids")]
    assert result.links[device(1)] == ("user_id:1", 2)


def test_an_event_over_the_limit_still_has_its_own_subject() -> None:
    mails = [("email", f"{n}@example.org") for n in range(6)]
    known = [(0, [mail, device(1)]) for mail in mails]
    result = run(*known)
    assert result.owners[-1] == ":".join(mails[5])
    assert refused(result) == [("1", "limit")]


def test_a_profile_merges_a_hundred_times_and_its_events_still_resolve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joint, "MAX_MERGES", 2)
    free = [("openid", str(n)) for n in range(4)]
    log = sight([U1], *([each] for each in free), *([U1, each] for each in free), [U1, free[0]])
    result = resolve(log, {}, [], [Era(0, {})])
    assert len(result.merges) == 2
    assert refused(result) == [("2", "too_many_merges"), ("3", "too_many_merges")]
    assert result.owners[-5:] == ["user_id:1"] * 5


def test_a_profile_beyond_every_limit_keeps_its_events_and_what_it_has() -> None:
    """People merge it on purpose, or a policy becomes stricter."""
    times = {"user_id": [0], "openid": [0, 0, 0]}
    large = Node("user_id:1", "1", 0, joint.MAX_IDENTIFIERS + 1, joint.MAX_MERGES + 1, times)
    owners = {U1: "user_id:1", ("openid", "0"): "user_id:1"}
    eras = [Era(0, {"openid": Limit(1, None)})]
    log = sight([U1, ("openid", "0")], [U1, MAIL], [("openid", "0"), MAIL])
    result = resolve(log, owners, [large], eras)
    assert result.owners == ["user_id:1"] * 3
    assert refused(result) == [(MAIL[1], "too_many_identifiers")] * 2
    small = Node("user_id:1", "1", 0, 4, joint.MAX_MERGES + 1, times)
    assert resolve(log[1:2], owners, [small], eras).conflicts == [], "a new one is no merge"


def test_limits_are_looked_up_only_where_something_may_be_linked() -> None:
    owners = {U1: "user_id:1", MAIL: "user_id:1", U2: "user_id:2"}
    assert linking(sight([U1], [U1, MAIL], [device(1)]), owners) is None
    assert linking(sight([device(1), device(2)]), owners) == set()
    assert linking(sight([U1, device(1)], [U2]), owners) == {"user_id:1"}
    assert linking(sight([U2, MAIL]), owners) == {"user_id:1", "user_id:2"}


def test_ten_thousand_identifiers_on_one_person_stop_at_a_thousand() -> None:
    graph = Graph([Era(0, {})])
    log = sight(*([U1, ("openid", str(n))] for n in range(10_000)))
    for start in range(0, len(log), 500):
        graph.read(log[start : start + 500])
    assert graph.placed == ["user_id:1"] * 10_000
    assert graph.nodes["user_id:1"].identifier_count == len(graph.owners) == 1000
    assert {c.reason for c in graph.conflicts} == {"too_many_identifiers"}
    assert len(graph.conflicts) == 9_001


NAMESPACES = ("user_id", "email", "openid", "anonymous_id")
LIMITS = {"email": Limit(2, 3 * DAY), "openid": Limit(2, None), "anonymous_id": Limit(2, DAY)}
ERAS = [Era(0, LIMITS), Era(12, {**LIMITS, "openid": Limit(4, None)})]
identifiers = st.one_of(
    st.tuples(st.just("user_id"), st.sampled_from("12")),
    st.tuples(st.just("email"), st.sampled_from("uvwxyz")),
    st.tuples(st.just("openid"), st.sampled_from("ijklmn")),
    st.tuples(st.just("anonymous_id"), st.sampled_from("abcdef")),
)
named = st.lists(identifiers, min_size=1, max_size=4, unique=True).map(
    lambda found: sorted(found, key=lambda i: NAMESPACES.index(i[0]))
)
days = st.integers(0, 6)
logs = st.lists(st.tuples(days, named), max_size=25)


def read(log: Sequence[tuple[int, list[Identifier]]], cuts: Sequence[int] = ()) -> Graph:
    graph = Graph(ERAS)
    sightings = sight(*(event for _, event in log), at=[day * DAY for day, _ in log])
    places = [0, *sorted({c for c in cuts if c < len(log)}), len(log)]
    for start, end in itertools.pairwise(places):
        graph.read(sightings[start:end])
    return graph


@given(logs, st.lists(st.integers(1, 25)))
@settings(max_examples=400, deadline=None)
def test_limits_hold_in_any_log_wherever_it_is_cut_into_blocks(
    log: list[tuple[int, list[Identifier]]], cuts: list[int]
) -> None:
    whole, cut = read(log), read(log, cuts)
    assert (cut.placed, cut.rows(), cut.owners) == (whole.placed, whole.rows(), whole.owners)
    assert [c.reason for c in cut.conflicts] == [c.reason for c in whole.conflicts]
    for (_, event), placed in zip(log, whole.placed, strict=True):
        assert whole.owners[event[0]] == whole.living(placed), "an event left its subject"
    for person in whole.people():
        times: dict[str, list[int]] = {}
        for identifier in sorted(person, key=whole.linked_at.__getitem__):
            times.setdefault(identifier[0], []).append(whole.linked_at[identifier])
        assert len(times.get("user_id", [])) <= 1
        for namespace, limit in ERAS[-1].limits.items():
            assert not limit.is_exceeded(times.get(namespace, []))


free_logs = st.lists(
    st.tuples(days, st.lists(identifiers, min_size=1, max_size=3, unique=True)), max_size=12
)


@given(free_logs.flatmap(lambda log: st.tuples(st.just(log), st.permutations(log))), st.data())
@settings(max_examples=400, deadline=None)
def test_any_order_of_arrival_makes_the_same_people_where_no_rule_objects(
    orders: tuple[list[tuple[int, list[Identifier]]], list[tuple[int, list[Identifier]]]],
    data: st.DataObject,
) -> None:
    """``docs/identity.md``: a group that could hold two known people or break a limit is out."""
    allowed = _without_objections(orders[0])
    log = [event for event in orders[0] if _is_allowed(event[1], allowed)]
    late = [event for event in orders[1] if _is_allowed(event[1], allowed)]
    cuts = data.draw(st.lists(st.integers(1, 12)))
    in_order, out_of_order = read(log), read(late, cuts)
    assert in_order.conflicts == out_of_order.conflicts == []
    assert out_of_order.people() == in_order.people() == {g for g in allowed if _seen(g, log)}
    known = {node.user_id for node in in_order.nodes.values()}
    assert known == {node.user_id for node in out_of_order.nodes.values()}


def _without_objections(
    log: Sequence[tuple[int, list[Identifier]]],
) -> list[frozenset[Identifier]]:
    """Identifiers that the log connects, group by group, of groups that no rule objects to."""
    groups: list[set[Identifier]] = []
    for _, event in log:
        touching = [group for group in groups if not group.isdisjoint(event)]
        groups = [group for group in groups if group.isdisjoint(event)]
        groups.append(set(event).union(*touching))
    return [frozenset(g) for g in groups if all(_fits(g, n) for n in NAMESPACES)]


def _fits(group: set[Identifier], namespace: str) -> bool:
    most = 1 if namespace == "user_id" else LIMITS[namespace].most
    return sum(name == namespace for name, _ in group) <= most


def _is_allowed(event: list[Identifier], groups: list[frozenset[Identifier]]) -> bool:
    return any(not group.isdisjoint(event) for group in groups)


def _seen(group: frozenset[Identifier], log: Sequence[tuple[int, list[Identifier]]]) -> bool:
    return any(not group.isdisjoint(event) for _, event in log)
