"""Traits made anew from their history."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.profile.profiles.traits import Meta, Traits
from services.profile.traits.ledger import Line
from services.profile.traits.replay import replay

Said = list[tuple[str, object, int, int, str]]
"""Key, value, time, priority, subject."""

STATEMENTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from([None, 1, 1.0, True, "x"]),
        st.integers(0, 4),
        st.integers(0, 2),
        st.just("s"),
    ),
    max_size=30,
)


def lines(said: Said) -> tuple[Traits, list[Line]]:
    """Traits that heard the statements, and the history of it."""
    traits, history = Traits(), []
    for seq, (key, value, at, priority, subject) in enumerate(said):
        verdict = traits.say(key, value, Meta(at, priority, "web", seq))
        if verdict is not None:
            lost_to = traits.meta[key].seq if verdict == "outranked" else None
            history.append(Line("p", subject, key, value, at, "web", priority, seq, lost_to))
    return traits, history


@given(STATEMENTS, st.randoms(use_true_random=False))
def test_the_history_comes_to_the_values_it_was_made_of(said: Said, random: Random) -> None:
    traits, history = lines(said)
    random.shuffle(history)
    assert replay(history).values == traits.values


def test_without_what_stood_against_it_a_statement_counts() -> None:
    _, history = lines(
        [("plan", "pro", 1, 0, "a"), ("plan", "vip", 9, 0, "b"), ("plan", "free", 5, 0, "a")]
    )
    assert replay(history).values == {"plan": "vip"}
    mine = [line for line in history if line.subject_id == "a"]
    assert replay(mine).values == {"plan": "free"}


def test_a_repetition_that_made_a_value_newer_is_remembered_by_what_lost_to_it() -> None:
    _, history = lines(
        [("plan", "pro", 1, 0, "a"), ("plan", "pro", 7, 0, "a"), ("plan", "free", 5, 0, "a")]
    )
    assert [(line.value, line.lost_to) for line in history] == [("pro", None), ("free", 0)]
    assert replay(history).values == {"plan": "pro"}
