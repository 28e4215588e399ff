"""Live numbers of a map from signal counts and a funnel. Pure."""

from datetime import datetime
from math import sqrt
from uuid import UUID

from services.contracts.tracking import Funnel, FunnelStep, SignalCounts
from services.orchestrator.maps.model import (
    Interval,
    MapDocument,
    Overlay,
    Stage,
    StageNumbers,
    TouchpointNumbers,
)

_Z = 1.96


def wilson(successes: int, n: int) -> Interval:
    """95 % score interval of a share (Wilson 1927), clipped to 0..1; ``n`` must be positive."""
    share = successes / n
    centre = share + _Z**2 / (2 * n)
    half = _Z * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    return Interval(low=max(0.0, (centre - half) / scale), high=min(1.0, (centre + half) / scale))


def observed_stages(document: MapDocument) -> list[Stage]:
    """The stages with at least one bound touchpoint: those a funnel can be drawn through."""
    return [s for s in document.stages if any(t.signal is not None for t in s.touchpoints)]


def funnel_steps(document: MapDocument) -> list[FunnelStep]:
    """One step per observed stage, met by the signal of any of its touchpoints."""
    return [
        FunnelStep(
            name=stage.id, any_of=[t.signal for t in stage.touchpoints if t.signal is not None]
        )
        for stage in observed_stages(document)
    ]


def overlay(
    map_id: UUID,
    version: int,
    document: MapDocument,
    counts: SignalCounts,
    funnel: Funnel | None,
    *,
    since: datetime,
    until: datetime,
    measured_at: datetime,
) -> Overlay:
    """Puts the numbers on the map; ``funnel`` is None when no stage is observed."""
    people = {step.name: step.people for step in funnel.steps} if funnel else {}
    stages: list[StageNumbers] = []
    base: int | None = None
    for stage in document.stages:
        here = people.get(stage.id)
        if here is None:
            stages.append(StageNumbers(stage_id=stage.id, grade="assumed"))
            continue
        stages.append(
            StageNumbers(
                stage_id=stage.id,
                grade="observed",
                people=here,
                conversion=here / base if base else None,
                interval=wilson(here, base) if base else None,
                n=base,
            )
        )
        base = here
    return Overlay(
        map_id=map_id,
        version=version,
        since=since,
        until=until,
        measured_at=measured_at,
        touchpoints=[
            _touchpoint(t.id, t.signal is not None, counts)
            for stage in document.stages
            for t in stage.touchpoints
        ],
        stages=stages,
    )


def _touchpoint(touchpoint_id: str, bound: bool, counts: SignalCounts) -> TouchpointNumbers:
    if not bound:
        return TouchpointNumbers(touchpoint_id=touchpoint_id, grade="assumed")
    seen = counts.signals[touchpoint_id]
    return TouchpointNumbers(
        touchpoint_id=touchpoint_id,
        grade="observed",
        count=seen.count,
        people=seen.people,
        last_at=seen.last_at,
    )
