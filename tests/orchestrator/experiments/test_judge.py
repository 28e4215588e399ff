"""What the numbers of an experiment mean."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.orchestrator.experiments.judge import Numbers, Observed, judge
from services.orchestrator.experiments.model import ExperimentCreate
from services.orchestrator.experiments.results_model import ExperimentResults
from tests.orchestrator.experiments.lab import plan

START = datetime(2027, 1, 4, tzinfo=UTC)


def of(**variants: tuple[int, float]) -> dict[str, Observed]:
    return {name: Observed(people, 0, mean, None) for name, (people, mean) in variants.items()}


def judged(
    primary: Numbers, guardrails: tuple[Numbers, ...] = (), *, days: int = 10, **more: Any
) -> ExperimentResults:
    body = plan(str(uuid4()), **{"minimum_seconds": 604_800, **more})
    body["guardrails"] = [
        {"name": "Complaints", "metric": body["metric"], "harm": "higher"} for _ in guardrails
    ]
    spec = ExperimentCreate.model_validate(body)
    at = START + timedelta(days=days)
    return judge(spec, primary, guardrails, started_at=START, at=at)


def suggested(*args: Any, **kwargs: Any) -> tuple[str, str | None]:
    suggestion = judged(*args, **kwargs).suggestion
    return suggestion.decision, suggestion.variant


def test_a_sure_difference_wins_once_the_shortest_time_is_over() -> None:
    numbers = of(a=(9_000, 0.10), b=(9_050, 0.13))
    assert suggested(numbers) == ("winner", "b")
    assert suggested(numbers, days=6) == ("continue", None)


def test_the_control_wins_where_all_others_are_worse() -> None:
    assert suggested(of(a=(9_000, 0.13), b=(9_050, 0.10))) == ("winner", "a")


def test_no_difference_is_inconclusive_at_the_planned_size_and_not_before() -> None:
    early = judged(of(a=(1_000, 0.100), b=(1_000, 0.101)))
    assert not early.enough_data
    assert early.suggestion.decision == "continue"
    late = judged(of(a=(20_000, 0.100), b=(20_000, 0.101)))
    assert late.enough_data
    assert late.suggestion.decision == "inconclusive"


def test_a_mismatch_goes_before_any_difference() -> None:
    found = judged(of(a=(9_000, 0.10), b=(8_000, 0.13)))
    assert found.sample_ratio.mismatch
    assert found.suggestion.decision == "invalid"
    assert found.variants[1].lift is not None


def test_a_harmed_guardrail_keeps_a_variant_from_winning() -> None:
    better, worse = of(a=(9_000, 0.10), b=(9_050, 0.13)), of(a=(9_000, 0.01), b=(9_050, 0.03))
    found = judged(better, (worse,))
    assert found.guardrails[0].harmed == ["b"]
    assert (found.suggestion.decision, found.suggestion.variant) == ("winner", "a")
    assert suggested(better, (of(a=(9_000, 0.03), b=(9_050, 0.01)),)) == ("winner", "b")


def test_of_several_better_variants_the_best_is_suggested() -> None:
    numbers = of(a=(9_000, 0.10), b=(9_050, 0.13), c=(9_020, 0.14))
    found = judged(numbers, variants=[{"id": each} for each in "abc"])
    assert found.alpha_each == pytest.approx(0.025)
    assert found.suggestion.variant == "c"


def test_before_anybody_came_nothing_is_said() -> None:
    found = judged({})
    assert [(each.people, each.mean, each.lift) for each in found.variants] == [(0, None, None)] * 2
    assert (found.sample_ratio.p_value, found.suggestion.decision) == (None, "continue")
