"""Whose event is it: cases in words, and what holds for any log."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.profile.identity import joint as module
from services.profile.identity.resolve import Identifier, Resolution, resolve
from tests.profile.identity.graph import Graph, sight

U1, U2 = ("user_id", "1"), ("user_id", "2")
A, B = ("anonymous_id", "a"), ("anonymous_id", "b")
MAIL = ("email", "x@example.org")


def run(*events: Sequence[Identifier]) -> Resolution:
    return resolve(sight(*events), {}, [])


def test_a_new_profile_has_the_id_of_its_first_subject() -> None:
    result = run([A], [A])
    assert result.owners == ["anonymous_id:a"] * 2
    assert result.created == {"anonymous_id:a": 0}


def test_an_anonymous_profile_becomes_known_under_its_own_id() -> None:
    result = run([A], [U1, A], [U1])
    assert result.owners == ["anonymous_id:a"] * 3
    assert result.merges == []
    assert result.nodes["anonymous_id:a"].user_id == "1"


def test_the_known_profile_survives_even_if_the_anonymous_one_is_older() -> None:
    result = run([A], [U1], [U1, A])
    assert [(m.winner, m.loser) for m in result.merges] == [("user_id:1", "anonymous_id:a")]
    assert result.owners == ["anonymous_id:a", "user_id:1", "user_id:1"]


def test_of_two_anonymous_profiles_the_older_survives() -> None:
    result = run([B], [A], [MAIL, A], [MAIL, B])
    assert [(m.winner, m.loser) for m in result.merges] == [("anonymous_id:b", "anonymous_id:a")]


def test_two_known_people_are_never_merged_by_an_event() -> None:
    result = run([U1, A], [U2, A], [A])
    assert result.owners == ["user_id:1", "user_id:2", "user_id:1"]
    assert result.merges == []
    [conflict] = result.conflicts
    assert (conflict.identifier, conflict.profile_id, conflict.other_id, conflict.reason) == (
        A,
        "user_id:2",
        "user_id:1",
        "two_user_ids",
    )


def test_two_known_people_are_not_joined_by_an_event_without_a_user_id_either() -> None:
    result = run([U1, MAIL], [U2, A], [MAIL, A])
    assert result.owners[2] == "user_id:1"
    assert [c.identifier for c in result.conflicts] == [A]


def test_an_identifier_dropped_from_its_own_profile_is_no_conflict() -> None:
    result = run([U1, A], [U2, MAIL], [U1, MAIL, A])
    assert [c.identifier for c in result.conflicts] == [MAIL]


def test_a_profile_stops_growing_at_its_limit_and_its_events_still_resolve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_IDENTIFIERS", 2)
    result = run([U1, A], [U1, B], [B], [U1, A])
    assert result.owners == ["user_id:1", "user_id:1", "anonymous_id:b", "user_id:1"]
    assert [(c.identifier, c.reason) for c in result.conflicts] == [(B, "too_many_identifiers")]


identifiers = st.one_of(
    st.tuples(st.just("user_id"), st.sampled_from("123")),
    st.tuples(st.just("email"), st.sampled_from("xyz")),
    st.tuples(st.just("anonymous_id"), st.sampled_from("abcd")),
)
PRIORITY = ("user_id", "email", "anonymous_id")
events = st.lists(identifiers, min_size=1, max_size=3, unique=True).map(
    lambda named: sorted(named, key=lambda i: PRIORITY.index(i[0]))
)
logs = st.lists(events, max_size=25)


@given(logs, st.lists(st.integers(1, 25)))
@settings(max_examples=400, deadline=None)
def test_any_log_keeps_the_invariants_wherever_it_is_cut_into_blocks(
    log: list[list[Identifier]], cuts: list[int]
) -> None:
    whole, cut = Graph(), Graph()
    whole.read(sight(*log))
    places = [0, *sorted({c for c in cuts if c < len(log)}), len(log)]
    for start, end in itertools.pairwise(places):
        cut.read(sight(*log)[start:end])

    assert cut.placed == whole.placed, "the outcome depends on the cut"
    assert (cut.owners, cut.rows()) == (whole.owners, whole.rows())
    assert (cut.aliases, cut.linked_at) == (whole.aliases, whole.linked_at)
    assert len(whole.placed) == len(log), "an event was lost"
    for event, placed in zip(log, whole.placed, strict=True):
        assert whole.owners[event[0]] == whole.living(placed), "an event left its subject"
        assert whole.living(placed) in whole.nodes, "an alias leads nowhere"
    for profile_id, node in whole.nodes.items():
        held = [i for i, owner in whole.owners.items() if owner == profile_id]
        user_ids = [value for namespace, value in held if namespace == "user_id"]
        assert user_ids == ([] if node.user_id is None else [node.user_id])
        assert len(held) == node.identifier_count
