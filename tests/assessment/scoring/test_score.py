"""The scoring rules: exact boundaries, published test vectors, properties of every panel."""

from collections.abc import Mapping
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.assessment.questionnaires.library import DEFAULT_ID, built_in
from services.assessment.scoring.gates import Gated, gate
from services.assessment.scoring.score import (
    Response,
    dimension_scores,
    exact,
    item_scores,
    level_of,
    overall_score,
)
from services.assessment.scoring.standing import standing

QUESTIONNAIRE = built_in()[DEFAULT_ID]
ITEMS = [item.id for item in QUESTIONNAIRE.items]
GROUPS = [group.id for group in QUESTIONNAIRE.respondent_groups]
DIMENSIONS = [dimension.id for dimension in QUESTIONNAIRE.dimensions]


def every_item(default: str, **dimensions: str) -> dict[str, Fraction]:
    """Item scores with one value per dimension, ``default`` where none is given."""
    return {
        item.id: Fraction(dimensions.get(item.dimension, default)) for item in QUESTIONNAIRE.items
    }


def mean_of(items: Mapping[str, Fraction]) -> Fraction:
    overall = overall_score(QUESTIONNAIRE, dimension_scores(QUESTIONNAIRE, items))
    assert overall is not None
    return overall


def gated(items: Mapping[str, Fraction]) -> Gated:
    return gate(
        QUESTIONNAIRE, level_of(mean_of(items)), dimension_scores(QUESTIONNAIRE, items), items
    )


@pytest.mark.parametrize(
    ("score", "level"),
    [
        (1.0, 1),
        (1.99, 1),
        (1.995, 1),
        (2.0, 2),
        (2.99, 2),
        (3.0, 3),
        (3.99, 3),
        (3.995, 3),
        (4.0, 4),
        (4.49, 4),
        (4.495, 4),
        (4.49999999, 4),
        (4.5, 5),
        (5.0, 5),
    ],
)
def test_levels_change_at_the_half_open_cut_offs(score: float, level: int) -> None:
    assert level_of(score) == level


@pytest.mark.parametrize(
    ("score", "level"),
    [
        (sum([0.1] * 20), 2),  # 2.0000000000000004
        (sum([0.1] * 10) * 2, 2),  # 1.9999999999999998
        (4.35 + 0.15, 5),  # exactly 4.5 only by luck of rounding
        (sum([4.4, 4.6, 4.3, 4.7, 4.45, 4.55]) / 6, 5),
        (sum([4.1, 3.9, 4.2, 3.8, 4.3, 3.7]) / 6, 4),
        (3 - 1e-12, 3),
        (2 - 4e-16, 2),
    ],
)
def test_a_floating_point_tie_counts_as_the_boundary_it_stands_for(
    score: float, level: int
) -> None:
    assert level_of(score) == level


def test_a_mean_of_thirds_is_exact() -> None:
    """Three groups of three, each mean a third of something: 1.99… in floats, 2 on paper."""
    answers = {"executive": [1, 1, 2], "sales": [2, 2, 3], "service": [2, 2, 3]}
    panel = [
        Response(group, dict.fromkeys(ITEMS, score))
        for group, scores in answers.items()
        for score in scores
    ]
    items = item_scores(panel)
    assert set(items.values()) == {Fraction(2)}
    assert level_of(mean_of(items)) == 2


@pytest.mark.parametrize(
    ("dimensions", "mean", "level", "floor", "level_gated", "gates"),
    [
        ({}, "3.5", 3, 3, 3, []),
        (
            {
                "culture": "4.6",
                "organization": "4.5",
                "governance": "4.4",
                "process": "4.6",
                "measurement": "1.6",
                "tools": "4.7",
            },
            "61/15",
            4,
            1,
            2,
            ["dimension_gap", "critical_items"],
        ),
        (
            {
                "culture": "4.2",
                "organization": "4.1",
                "governance": "4.3",
                "process": "4.0",
                "measurement": "3.1",
                "tools": "4.6",
            },
            "4.05",
            4,
            3,
            4,
            [],
        ),
        (dict.fromkeys(DIMENSIONS, "4.6"), "4.6", 5, 5, 5, []),
    ],
    ids=["even", "hidden weakness", "one step behind", "top"],
)
def test_published_vectors(
    dimensions: dict[str, str],
    mean: str,
    level: int,
    floor: int,
    level_gated: int,
    gates: list[str],
) -> None:
    items = every_item("3.5", **dimensions)
    result = gated(items)
    assert mean_of(items) == Fraction(mean)
    assert level_of(mean_of(items)) == level
    assert (result.floor, result.level_gated) == (floor, level_gated)
    assert [bound.id for bound in result.gates] == gates


def test_weak_consent_is_hidden_by_the_mean_and_named_by_the_gate() -> None:
    items = every_item("4.2") | {"GOV5": Fraction("1.5")}
    governance = dimension_scores(QUESTIONNAIRE, items)[DIMENSIONS.index("governance")]
    assert governance.score is not None
    assert round(float(governance.score), 4) == 3.6214
    assert round(float(mean_of(items)), 4) == 4.1036
    result = gated(items)
    assert (level_of(mean_of(items)), result.floor, result.level_gated) == (4, 3, 2)
    assert [(bound.id, bound.because) for bound in result.gates] == [("critical_items", ("GOV5",))]


def test_a_low_dimension_binds_even_where_its_critical_item_is_high() -> None:
    items = every_item("4.6", culture="1") | {"CUL1": Fraction(4)}
    result = gated(items)
    assert (level_of(mean_of(items)), result.floor, result.level_gated) == (4, 1, 2)
    assert [(g.id, g.allows, g.because) for g in result.gates] == [
        ("dimension_gap", 2, ("culture",))
    ]


def test_groups_count_equally_not_people() -> None:
    panel = [Response("executive", {"CUL1": 5})] * 4 + [Response("service", {"CUL1": 2})]
    assert item_scores(panel)["CUL1"] == Fraction("3.5")


def test_groups_of_one_count_together_as_one_group() -> None:
    panel = [Response("executive", {"CUL1": 5})] * 2
    panel += [Response("service", {"CUL1": 1}), Response("sales", {"CUL1": 2})]
    assert item_scores(panel)["CUL1"] == (5 + Fraction("1.5")) / 2


@pytest.mark.parametrize(
    ("answered", "scored"), [(["CUL1", "CUL2"], False), (["CUL1", "CUL2", "CUL3"], True)]
)
def test_a_dimension_needs_three_fifths_of_its_weight(answered: list[str], scored: bool) -> None:
    """Culture weighs 5.5: CUL1 + CUL2 is 45 %, with CUL3 it is 64 %."""
    culture = dimension_scores(QUESTIONNAIRE, {item: Fraction(3) for item in answered})[0]
    assert (culture.score is not None) is scored


def test_exactly_the_needed_weight_is_enough() -> None:
    """Five equal items, three answered: 3/5 is not less than 0.6 whatever floats say."""
    equal = [item.model_copy(update={"weight": 0.1}) for item in QUESTIONNAIRE.items]
    questionnaire = QUESTIONNAIRE.model_copy(update={"items": tuple(equal)})
    culture = dimension_scores(questionnaire, dict.fromkeys(["CUL1", "CUL2", "CUL3"], Fraction(3)))
    assert culture[0].score == 3


def test_one_unscored_dimension_leaves_no_overall_score() -> None:
    items = {key: score for key, score in every_item("5").items() if not key.startswith("TOO")}
    assert overall_score(QUESTIONNAIRE, dimension_scores(QUESTIONNAIRE, items)) is None


def test_strong_and_weak_items_stand_out_from_their_own_dimension() -> None:
    items = every_item("3") | {"GOV1": Fraction(5), "GOV5": Fraction(1), "GOV3": Fraction(1)}
    score = dimension_scores(QUESTIONNAIRE, items)[DIMENSIONS.index("governance")].score
    assert score is not None
    result = standing(QUESTIONNAIRE, "governance", score, items)
    assert result.strengths[0] == "GOV1"
    assert result.weaknesses == ("GOV5", "GOV3")  # the heavier of two equals first


def test_an_even_dimension_has_neither_strengths_nor_weaknesses() -> None:
    result = standing(QUESTIONNAIRE, "tools", Fraction(4), every_item("4"))
    assert (result.strengths, result.weaknesses) == ((), ())


@pytest.mark.parametrize(("value", "fraction"), [(0.1 + 0.2, "3/10"), (1.5, "3/2"), (1 / 3, "1/3")])
def test_a_float_is_the_fraction_it_stands_for(value: float, fraction: str) -> None:
    assert exact(value) == Fraction(fraction)


panels = st.lists(
    st.builds(
        Response,
        group=st.sampled_from(GROUPS),
        scores=st.fixed_dictionaries({item: st.integers(1, 5) for item in ITEMS}),
    ),
    min_size=1,
    max_size=6,
)


@given(panels)
def test_every_score_lies_between_one_and_five(panel: list[Response]) -> None:
    items = item_scores(panel)
    dimensions = [d.score for d in dimension_scores(QUESTIONNAIRE, items)]
    assert all(score is not None and 1 <= score <= 5 for score in dimensions)
    assert 1 <= mean_of(items) <= 5
    assert 1 <= gated(items).level_gated <= level_of(mean_of(items))


@given(panels, st.data())
def test_a_more_favourable_answer_never_lowers_anything(
    panel: list[Response], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(panel) - 1))
    item = data.draw(st.sampled_from(ITEMS))
    changed = panel[index]
    better = data.draw(st.integers(changed.scores[item], 5))
    raised = [*panel]
    raised[index] = Response(changed.group, {**changed.scores, item: better})
    before, after = item_scores(panel), item_scores(raised)
    assert all(after[key] >= before[key] for key in before)
    assert mean_of(after) >= mean_of(before)
    assert gated(after).floor >= gated(before).floor
    assert gated(after).level_gated >= gated(before).level_gated


@given(panels.flatmap(lambda panel: st.tuples(st.just(panel), st.permutations(panel))))
def test_the_order_of_respondents_changes_nothing(
    panels_: tuple[list[Response], list[Response]],
) -> None:
    panel, shuffled = panels_
    assert item_scores(panel) == item_scores(shuffled)


@given(panels, st.floats(0.001, 50))
def test_scaling_all_weights_changes_nothing(panel: list[Response], factor: float) -> None:
    factor = float(exact(round(factor, 3)))
    scaled = QUESTIONNAIRE.model_copy(
        update={
            "dimensions": tuple(
                d.model_copy(update={"weight": d.weight * factor}) for d in QUESTIONNAIRE.dimensions
            )
        }
    )
    items = item_scores(panel)
    assert overall_score(scaled, dimension_scores(scaled, items)) == mean_of(items)
