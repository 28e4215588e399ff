"""What the numbers of an experiment mean. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.experiments import sample_ratio
from services.orchestrator.experiments.model import ExperimentCreate, GoalMetric, Guardrail
from services.orchestrator.experiments.plan import alpha_each, sample_size, tuning
from services.orchestrator.experiments.results_model import (
    ExperimentResults,
    GuardrailResult,
    Lift,
    SampleRatio,
    Suggestion,
    VariantResult,
)
from services.orchestrator.experiments.sequential import Sample, Tuning, difference


@dataclass(frozen=True, slots=True)
class Observed:
    """Of one variant and one metric."""

    people: int
    mixed: int
    mean: float
    variance: float | None


Numbers = Mapping[str, Observed]
"""By variant; those that nobody was shown are left out."""

NOBODY = Observed(0, 0, 0.0, None)


def judge(
    spec: ExperimentCreate,
    primary: Numbers,
    guardrails: Sequence[Numbers],
    *,
    started_at: datetime,
    at: datetime,
) -> ExperimentResults:
    """``guardrails``: in the order of the plan."""
    tuned = tuning(spec)
    variants = _variants(spec, spec.metric, primary, tuned)
    guarded = [
        _guardrail(spec, each, numbers, tuned)
        for each, numbers in zip(spec.guardrails, guardrails, strict=True)
    ]
    ratio = _ratio(spec, variants)
    planned = sample_size(spec).always
    enough = planned is not None and all(each.people >= planned for each in variants)
    ripe = (at - started_at).total_seconds() >= spec.minimum_seconds
    return ExperimentResults(
        at=at,
        alpha_each=alpha_each(spec),
        variants=variants,
        guardrails=guarded,
        sample_ratio=ratio,
        enough_data=enough,
        suggestion=_suggest(spec, variants, guarded, ratio, enough=enough, ripe=ripe),
    )


def _variants(
    spec: ExperimentCreate, metric: GoalMetric, numbers: Numbers, tuned: Tuning
) -> list[VariantResult]:
    samples = {each.id: _sample(metric, numbers.get(each.id, NOBODY)) for each in spec.variants}
    control, found = samples[spec.control], []
    for name, sample in samples.items():
        seen = numbers.get(name, NOBODY)
        against = None if name == spec.control else difference(control, sample, tuned)
        found.append(
            VariantResult(
                id=name,
                people=seen.people,
                mixed=seen.mixed,
                mean=seen.mean if seen.people else None,
                lift=None if against is None else Lift.model_validate(against),
            )
        )
    return found


def _sample(metric: GoalMetric, seen: Observed) -> Sample:
    variance = None if metric.measure == "people" else seen.variance or 0.0
    return Sample(seen.people, seen.mean, variance)


def _guardrail(
    spec: ExperimentCreate, guardrail: Guardrail, numbers: Numbers, tuned: Tuning
) -> GuardrailResult:
    variants = _variants(spec, guardrail.metric, numbers, tuned)
    side = 1 if guardrail.harm == "higher" else -1
    return GuardrailResult(
        name=guardrail.name,
        harm=guardrail.harm,
        variants=variants,
        harmed=[each.id for each in variants if _sure(each) == side],
    )


def _sure(variant: VariantResult) -> int:
    """1: surely above the control, -1: surely below, 0: not known."""
    if variant.lift is None:
        return 0
    return (variant.lift.low > 0) - (variant.lift.high < 0)


def _ratio(spec: ExperimentCreate, variants: Sequence[VariantResult]) -> SampleRatio:
    weights = [each.weight for each in spec.variants]
    p_value = sample_ratio.p_value([each.people for each in variants], weights)
    mismatch = p_value is not None and p_value < sample_ratio.ALARM_BELOW
    return SampleRatio(p_value=p_value, mismatch=mismatch)


def _suggest(
    spec: ExperimentCreate,
    variants: Sequence[VariantResult],
    guardrails: Sequence[GuardrailResult],
    ratio: SampleRatio,
    *,
    enough: bool,
    ripe: bool,
) -> Suggestion:
    if ratio.mismatch:
        reason = "People are not divided as planned: find out why before believing any difference."
        return Suggestion(decision="invalid", reason=reason)
    if not ripe:
        reason = "The shortest time it was planned to run is not over."
        return Suggestion(decision="continue", reason=reason)
    harmed = {name for each in guardrails for name in each.harmed}
    better = [each for each in variants if _sure(each) > 0]
    sound = [each for each in better if each.id not in harmed]
    if sound:
        best = max(sound, key=lambda each: each.mean or 0.0)
        reason = "Surely better than the control, and no guardrail is known to be harmed."
        return Suggestion(decision="winner", variant=best.id, reason=reason)
    others = [each for each in variants if each.id != spec.control]
    if all(_sure(each) < 0 or each.id in harmed for each in others):
        reason = "Every other variant is surely worse than the control or harms a guardrail."
        return Suggestion(decision="winner", variant=spec.control, reason=reason)
    if enough:
        reason = "The planned number of people was reached, and no difference was found."
        return Suggestion(decision="inconclusive", reason=reason)
    return Suggestion(decision="continue", reason="Not enough people yet to tell.")
