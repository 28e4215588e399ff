"""What follows from an experiment's plan before anybody is in it. Pure."""

from services.orchestrator.experiments import sample_size as sizes
from services.orchestrator.experiments.model import ExperimentCreate, SampleSize
from services.orchestrator.experiments.sequential import Tuning


def sample_size(spec: ExperimentCreate) -> SampleSize:
    """People in the smallest variant, comparing each variant with the control."""
    alpha, effect = alpha_each(spec), spec.minimum_effect
    if spec.deviation is None or spec.metric.measure == "people":
        once = sizes.for_proportions(spec.expected, effect, alpha=alpha, power=spec.power)
        shares = spec.expected, spec.expected + effect
        ours, theirs = (share * (1 - share) for share in shares)
    else:
        once = sizes.for_means(spec.deviation, effect, alpha=alpha, power=spec.power)
        ours = theirs = spec.deviation**2
    always = sizes.sequential(ours, theirs, effect, alpha=alpha, power=spec.power)
    return SampleSize(once=once, always=always)


def alpha_each(spec: ExperimentCreate) -> float:
    """Of each comparison with the control, so that all together are wrong at most ``alpha`` of the
    time (Bonferroni)."""
    return spec.alpha / (len(spec.variants) - 1)


def tuning(spec: ExperimentCreate) -> Tuning:
    """Of the sequential test of each variant against the control."""
    always = sample_size(spec).always
    planned = sizes.LARGEST if always is None else always
    return Tuning(alpha_each(spec), 2 * planned)
