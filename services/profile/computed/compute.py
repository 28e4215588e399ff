"""States and values of computed traits, of what is new about people. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.profile.computed import values
from services.profile.computed.states import Held, Key
from services.profile.rules.ruleset import AggregatePlan, RuleSet
from services.rules.aggregates import EMPTY, Since, State, merge, next_change, update, value_of
from services.rules.partials import Sample


@dataclass(slots=True)
class Work:
    """What is new: samples, states that survivors of merges take over, keys to look at anyway."""

    sampled: Mapping[Key, list[Sample]] = field(default_factory=dict)
    inherited: dict[Key, list[State]] = field(default_factory=dict)
    asked: Collection[Key] = ()

    def keys(self, rules: RuleSet) -> list[Key]:
        every = dict.fromkeys([*self.sampled, *self.inherited, *self.asked])
        return [key for key in every if key[1] in rules.aggregates]


def compute(
    rules: RuleSet,
    work: Work,
    keys: Iterable[Key],
    held: dict[Key, Held],
    past: Mapping[Key, State],
    now_ms: int,
) -> tuple[dict[Key, Held], dict[str, dict[str, Any]]]:
    """The states that changed, and everybody's values now; ``held`` is brought up to date."""
    changed: dict[Key, Held] = {}
    wanted: dict[str, dict[str, Any]] = {}
    for key in keys:
        plan = rules.aggregates[key[1]]
        before = held.get(key, Held(EMPTY, None))
        state = _added(before.state, plan, work, key, past.get(key, EMPTY))
        named = {t.name: value_of(t.kind, state, plan.aggregate, now_ms) for t in plan.traits}
        after = held[key] = Held(state, _due(rules, plan, state, named, now_ms))
        # An event outside a fixed window leaves the state empty: no row for that.
        if state and after != before:
            changed[key] = after
        stored = {name: values.stored(value) for name, value in named.items()}
        wanted.setdefault(key[0], {}).update(stored)
    return changed, wanted


def _added(state: State, plan: AggregatePlan, work: Work, key: Key, past: State) -> State:
    for other in (past, *work.inherited.get(key, ())):
        state = merge(state, other, plan.aggregate)
    return update(state, plan.aggregate, work.sampled.get(key, ()))


def ageing(rules: RuleSet, plan: AggregatePlan) -> list[str]:
    """Names of traits that count days and are read by a rule."""
    return [
        trait.name
        for trait in plan.traits
        if trait.kind.startswith("days_since") and ("computed", trait.name) in rules.readers
    ]


def _due(
    rules: RuleSet, plan: AggregatePlan, state: State, named: Mapping[str, Any], now_ms: int
) -> int | None:
    """When time alone may next change a value, or the days that a rule reads."""
    if not plan.traits:
        return None
    due = [next_change(state, plan.aggregate, now_ms)]
    growing = (named[name] for name in ageing(rules, plan))
    due += [value.next_day(now_ms) for value in growing if isinstance(value, Since)]
    return min((at for at in due if at is not None), default=None)
