"""The rule of consents, pure: the documented table, and what holds for any statements."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.profile.consents.decide import decide, matrix, on_channels, overall
from services.profile.consents.ledger import Consents, Decision, Held, Place, Statement
from tests.support.consents import Case, cases


def own(state: str, at: int) -> Held:
    """By a statement of its own."""
    return Held(asked_at=at) if state == "pending" else Held(Decision(state, at))  # type: ignore[arg-type]


@pytest.mark.parametrize("case", cases(), ids=str)
def test_the_documented_case(case: Case) -> None:
    consents = Consents()
    for at, (state, channel, contact_point) in enumerate(case.said):
        consents.learn(Statement(Place("m", channel, contact_point), state), at)  # type: ignore[arg-type]
    target = Place("m", case.channel, case.contact_point)
    assert decide(consents.current, target) == case.state
    assert decide(consents.current, target, presumed=True) == (case.state or "granted")


def test_of_two_statements_at_one_time_the_withdrawal_counts_across_levels_too() -> None:
    said = {Place("m"): own("withdrawn", 5), Place("m", "email"): own("granted", 5)}
    assert decide(said, Place("m", "email", "a@x.org")) == "withdrawn"


def test_asking_again_takes_nothing_from_who_granted_but_reopens_a_withdrawal() -> None:
    consents = Consents()
    counts = []
    for at, state in enumerate(("granted", "pending", "withdrawn", "pending", "withdrawn")):
        consents.learn(Statement(Place("m"), state), at)  # type: ignore[arg-type]
        counts.append(decide(consents.current, Place("m")))
    assert counts == ["granted", "granted", "withdrawn", "pending", "withdrawn"]


def test_preferences_that_a_client_repeats_undo_no_withdrawal_of_its_own() -> None:
    consents, place = Consents(), Place("m")
    for at, (state, separate, counts) in enumerate(
        (
            ("granted", False, "granted"),
            ("withdrawn", True, "withdrawn"),
            ("granted", False, "withdrawn"),
            ("granted", True, "granted"),
            ("withdrawn", False, "withdrawn"),
            ("granted", False, "granted"),
        )
    ):
        consents.learn(Statement(place, state, separate), at)  # type: ignore[arg-type]
        assert decide(consents.current, place) == counts, at


_statements = st.lists(
    st.tuples(
        st.sampled_from(["granted", "withdrawn", "pending"]), st.booleans(), st.integers(0, 5)
    ),
    max_size=6,
)


@given(_statements, st.randoms())
def test_what_counts_does_not_depend_on_the_order_in_which_it_comes(
    said: list[tuple[str, bool, int]], chance: Random
) -> None:
    other = list(said)
    chance.shuffle(other)
    found = []
    for order in (said, other):
        consents = Consents()
        for state, separate, at in order:
            consents.learn(Statement(Place("m"), state, separate), at)  # type: ignore[arg-type]
        found.append(consents.current)
    assert found[0] == found[1]


_channels = st.sampled_from(["*", "email", "sms"])
_points = st.sampled_from(["*", "a", "b"])
_said = st.dictionaries(
    st.builds(Place, st.just("m"), _channels, _points),
    st.builds(own, st.sampled_from(["granted", "withdrawn", "pending"]), st.integers(0, 9)),
)


@given(_said, _channels, _points)
def test_a_new_withdrawal_above_a_target_ends_it_and_a_new_grant_at_it_opens_it(
    said: dict[Place, Held], channel: str, contact_point: str
) -> None:
    target = Place("m", channel, contact_point)
    for above in (target, Place("m", channel), Place("m")):
        assert decide(said | {above: own("withdrawn", 10)}, target) == "withdrawn"
    assert decide(said | {target: own("granted", 10)}, target) == "granted"


@given(_said, st.booleans())
def test_a_purpose_is_granted_where_some_target_is(said: dict[Place, Held], presumed: bool) -> None:
    targets = [Place("m", c, p) for c in ("*", "email", "sms") for p in ("*", "a", "b")]
    states = {decide(said, target, presumed) for target in targets}
    whole = overall(said, {"m"} if presumed else ()).get("m")
    assert (whole == "granted") == ("granted" in states)
    somewhere = on_channels(said, "m", ["*", "email", "sms"], presumed)
    assert (somewhere == "granted") == (whole == "granted")


def test_the_matrix_has_every_known_purpose_at_every_contact_point() -> None:
    said = {Place("m", "email"): own("granted", 1), Place("n"): own("withdrawn", 1)}
    points = [("email", "a@x.org"), ("sms", "+49")]
    assert [state for _, state in matrix(said, points)] == [
        "granted",
        "withdrawn",
        None,
        "withdrawn",
    ]
