"""Cutting a person's graph, and dividing what is known of a person: cases in words."""

import json
from typing import Any

from services.profile.consents.ledger import Consents, Decision, Held, Place
from services.profile.merges.divide import Known
from services.profile.merges.divide import divide as divided
from services.profile.merges.graph import Edge, Split, split
from services.profile.merges.trait_sides import Sayings, divide_traits
from services.profile.profiles.traits import Meta, Traits
from services.profile.traits.ledger import Line


def edges(*pairs: str) -> list[Edge]:
    """``"ab"``: b was merged into a."""
    return [Edge(pair, pair[0], pair[1]) for pair in pairs]


def cut(pair: str, living: str, *others: str, dead: str | None = None) -> Split:
    made = edges(pair, *others)
    ids = sorted({each for edge in made for each in (edge.survivor, edge.merged)})
    return split(ids, made, made[0], living, dead or pair[1])


def test_the_merged_side_lives_again_with_what_was_merged_into_it() -> None:
    assert cut("ab", "a", "bc", "ad") == Split("b", frozenset("bc"))


def test_a_survivor_that_was_merged_on_gives_back_what_it_took() -> None:
    assert cut("ab", "x", "xa") == Split("b", frozenset("b"))


def test_where_the_merged_side_goes_on_the_survivor_lives_again() -> None:
    assert cut("ab", "x", "xb", "ac") == Split("a", frozenset("ac"))


def test_the_id_that_died_in_the_merge_is_preferred_to_the_end_of_its_edge() -> None:
    """d had taken b, and came by b's identifier."""
    assert cut("ab", "a", "db", dead="d") == Split("d", frozenset("bd"))


def divide(now: Known, ours: Known, theirs: Known) -> tuple[Known, Known]:
    """Of people from before there was a history."""
    return divided(now, ours, theirs, Sayings())


def own(state: Any, at: int, asked_at: int | None = None) -> Held:
    """Said by a statement of its own."""
    return Held(Decision(state, at), None, asked_at)


def repeated(state: Any, at: int) -> Held:
    """Said by preferences that come with every event."""
    return Held(repeated=Decision(state, at))


def known(traits: dict[str, tuple[object, int]], **consents: Held) -> Known:
    values = {key: value for key, (value, _) in traits.items() if value is not None}
    meta = {key: Meta(at, 0, "", 0) for key, (_, at) in traits.items()}
    return Known(Traits(values, meta), said(**consents))


def said(**consents: Held) -> Consents:
    return Consents({Place(purpose): held for purpose, held in consents.items()})


def test_the_side_that_goes_on_loses_what_the_other_brought_and_keeps_what_was_said_since() -> None:
    ours = known({"plan": ("pro", 1)})
    theirs = known({"plan": ("free", 2), "city": ("Bonn", 1), "shoe": (44, 1), "gone": (None, 3)})
    now = known(
        {"plan": ("pro", 1), "city": ("Bonn", 1), "shoe": (45, 9), "gone": (None, 3), "new": (1, 8)}
    )
    kept, revived = divide(now, ours, theirs)
    assert (kept.traits.values, {key: meta.at for key, meta in kept.traits.meta.items()}) == (
        {"plan": "pro", "shoe": 45, "new": 1},
        {"plan": 1, "shoe": 9, "new": 8},
    )
    assert revived.traits == theirs.traits


def test_a_value_both_sides_had_said_alike_stays_with_both() -> None:
    same = known({"plan": ("pro", 1)}, news=repeated("granted", 1))
    kept, revived = divide(same, same, same)
    assert (kept.traits, revived.traits) == (same.traits, same.traits)
    assert kept.consents == revived.consents == said(news=repeated("granted", 1))


def test_a_consent_that_took_the_place_of_another_gives_it_back() -> None:
    ours = known({}, news=repeated("granted", 1))
    theirs = known({}, news=repeated("withdrawn", 2))
    kept, revived = divide(theirs, ours, theirs)
    assert kept.consents == said(news=repeated("granted", 1))
    assert revived.consents == said(news=repeated("withdrawn", 2))


def test_a_grant_that_was_one_of_both_keeps_nothing_of_the_other_side() -> None:
    """The older one alone was given by a statement of its own."""
    ours = known({}, news=repeated("granted", 5))
    theirs = known({}, news=own("granted", 3))
    both = Held(Decision("granted", 3), Decision("granted", 5))
    kept, revived = divide(known({}, news=both), ours, theirs)
    assert kept.consents == ours.consents
    assert revived.consents == theirs.consents


def test_what_was_withdrawn_since_is_withdrawn_for_both_though_it_was_asked_to_be_undone() -> None:
    both = known({}, news=repeated("granted", 1))
    before, ended = repeated("withdrawn", 2), own("withdrawn", 4, 5)
    ours = known({}, news=repeated("granted", 1), ads=before)
    now = known({}, news=ended, ads=before._replace(asked_at=6))
    kept, revived = divide(now, ours, both)
    assert kept.consents == now.consents
    assert revived.consents.current == {
        Place("news"): ended._replace(repeated=Decision("granted", 1))
    }


def test_the_ledger_keeps_every_level_and_is_read_though_older_rows_know_none() -> None:
    place = Place("news", "email", "ada@example.com")
    consents = Consents({place: own("withdrawn", 4, 5), Place("ads"): repeated("granted", 1)})
    kept = json.loads(json.dumps({"consents": consents.rows()}))
    assert Known.of(kept).consents == consents
    assert Known.of({"consents": {"ads": ["granted", 1]}}).consents == said(
        ads=repeated("granted", 1)
    )
    assert Known.of({}).consents == Consents()


def test_times_of_being_seen_go_back_unless_an_event_has_moved_them_since() -> None:
    ours, theirs = Known(seen=(5, 7)), Known(seen=(1, 9))
    assert [k.seen for k in divide(Known(seen=(1, 9)), ours, theirs)] == [(5, 7), (1, 9)]
    assert [k.seen for k in divide(Known(seen=(1, 12)), ours, theirs)] == [(5, 12), (1, 9)]


def of_plan(value: str, seq: int, at: int | None = None) -> Traits:
    return Traits({"plan": value}, {"plan": Meta(seq if at is None else at, 0, "", seq)})


def line(value: str, seq: int, lost_to: int | None = None) -> Line:
    return Line("p", "s", "plan", value, seq, "", 0, seq, lost_to)


def test_a_value_goes_with_who_said_it_and_the_other_has_what_it_stood_against() -> None:
    said = Sayings([line("pro", 1)], [line("free", 2), line("vip", 9)])
    kept, revived = divide_traits(of_plan("vip", 9), of_plan("pro", 1), of_plan("free", 2), said)
    assert (kept, revived) == (of_plan("pro", 1), of_plan("vip", 9))


def test_what_the_history_does_not_hold_any_more_is_as_it_was_before_the_merge() -> None:
    said = Sayings([], [line("vip", 9)])
    kept, revived = divide_traits(of_plan("vip", 9), of_plan("pro", 1), of_plan("free", 2), said)
    assert (kept, revived) == (of_plan("pro", 1), of_plan("vip", 9))


def test_a_value_of_somebody_who_was_one_with_them_once_does_not_come_back() -> None:
    said = Sayings([], [line("vip", 9)], {("plan", 1)})
    kept, _ = divide_traits(of_plan("vip", 9), of_plan("pro", 1), Traits(), said)
    assert kept == Traits()


def test_a_repetition_that_made_a_value_newer_is_not_forgotten() -> None:
    said = Sayings([line("pro", 1)], [line("free", 2, lost_to=1)])
    now = of_plan("pro", 1, at=8)
    kept, revived = divide_traits(now, of_plan("pro", 1, at=5), of_plan("free", 2), said)
    assert (kept, revived) == (now, of_plan("free", 2))
