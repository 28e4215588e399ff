"""Which events count for which leaves and aggregates. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.contracts.events import Event
from services.profile.rules.ruleset import LeafPlan, RuleSet
from services.profile.rules.states import Key
from services.rules.aggregates import Aggregate
from services.rules.filters import EventFilter
from services.rules.partials import Sample

_EMPTY: dict[str, Any] = {}


@dataclass(slots=True)
class Counted:
    """By (profile, leaf): times in ms; by (profile, aggregate): samples."""

    times: dict[Key, list[int]] = field(default_factory=dict)
    samples: dict[Key, list[Sample]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is done with the events of one name."""

    needs_context: bool
    leaves: list[tuple[str, EventFilter]]
    aggregates: list[tuple[str, EventFilter, Callable[[Any, int], Sample | None]]]


def count(rules: RuleSet, events: Iterable[Event], owners: Iterable[str]) -> Counted:
    """What the events that match a leaf or an aggregate add to it.

    ``owners``: the living profile of each event.
    """
    found = Counted()
    times, samples = found.times, found.samples
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    plans = _plans(rules)
    for event, owner in zip(events, owners, strict=True):
        plan = plans.get(event.event)
        if plan is None:
            continue
        properties = decode(event.properties) if event.properties != "{}" else _EMPTY
        context = decode(event.context) if plan.needs_context else _EMPTY
        for leaf_id, matches in plan.leaves:
            if matches(properties, context):
                known = times.get((owner, leaf_id))
                if known is None:
                    times[owner, leaf_id] = [event.occurred_at]
                else:
                    known.append(event.occurred_at)
        for aggregate_id, matches, sample in plan.aggregates:
            if matches(properties, context):
                taken = sample(properties, event.occurred_at)
                if taken is not None:
                    samples.setdefault((owner, aggregate_id), []).append(taken)
    return found


def _plans(rules: RuleSet) -> dict[str, _Plan]:
    """By event name."""
    plans: dict[str, _Plan] = {}
    for name in {*rules.by_event, *rules.aggregates_by_event}:
        leaves = rules.by_event.get(name, [])
        aggregates = rules.aggregates_by_event.get(name, [])
        counted: list[LeafPlan] = [*leaves, *(plan.counted for plan in aggregates)]
        plans[name] = _Plan(
            any(plan.needs_context for plan in counted),
            [(plan.leaf.leaf_id, plan.matches) for plan in leaves],
            [_sampled(plan.aggregate, plan.counted) for plan in aggregates],
        )
    return plans


def _sampled(
    aggregate: Aggregate, counted: LeafPlan
) -> tuple[str, EventFilter, Callable[[Any, int], Sample | None]]:
    return aggregate.aggregate_id, counted.matches, aggregate.sample
