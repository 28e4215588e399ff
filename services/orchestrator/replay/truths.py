"""What rules say of people in virtual time: events counted as they come, the rest as it is now.

Traits, consents and segments have no history here: a replay reads their present values. Nor is it
known how long something has held: a rule that asks it does not hold.
"""

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID
from zoneinfo import ZoneInfo

from services.contracts.profile import ProfileFacts
from services.orchestrator.experiments.choice import Trial
from services.orchestrator.journeys import timing
from services.orchestrator.journeys.compiled import Compiled, Happening, rules_of
from services.orchestrator.journeys.nodes import Delay, TimeWindow
from services.orchestrator.journeys.step import Known
from services.orchestrator.journeys.zones import zone_of
from services.rules import EMPTY, Person, compile_memory, normalise, update
from services.rules.filters import filter_of


class History:
    """Keeps the state of the rules' event leaves per person."""

    def __init__(self, compiled: Compiled, trials: Mapping[UUID, Trial]) -> None:
        self._trials = {key: trial.started() for key, trial in trials.items()}
        rules = {
            compiled.rule_ids[each.place]: normalise(each.rule) for each in rules_of(compiled.graph)
        }
        self._holds = {rule_id: compile_memory(rule) for rule_id, rule in rules.items()}
        leaves = {leaf.leaf_id: leaf for rule in rules.values() for leaf in rule.leaves}
        self._leaves = [(leaf, filter_of(leaf.where)) for leaf in leaves.values()]
        self._people: dict[UUID, Person] = {}
        self._zones: dict[UUID, ZoneInfo] = {}
        self._timezone = compiled.graph.timezone
        timed = [node for node in compiled.graph.nodes if isinstance(node, Delay | TimeWindow)]
        self._asks = bool(self._holds) or any(map(timing.asks_person, timed))

    @property
    def event_names(self) -> set[str]:
        return {leaf.event for leaf, _ in self._leaves}

    def unknown(self, profile_ids: Iterable[UUID]) -> set[UUID]:
        """Those whose facts are needed first; nobody where no node asks."""
        return set(profile_ids) - self._people.keys() if self._asks else set()

    def learn(self, facts: Collection[ProfileFacts]) -> None:
        for each in facts:
            zone = zone_of(each.traits, each.identifiers, self._timezone)
            self._zones[each.asked_id] = zone
            self._people[each.asked_id] = Person(
                traits=each.traits,
                segments=frozenset(map(str, each.segments)),
                consents=each.consents,
                leaf_states={},
                profile_id=str(each.profile_id),
            )

    def observe(self, event: Happening) -> None:
        person = self._people.get(event.profile_id)
        if person is None:
            return
        for leaf, matches in self._leaves:
            if leaf.event == event.event and matches(event.properties, event.context):
                states = dict(person.leaf_states)
                states[leaf.leaf_id] = update(states.get(leaf.leaf_id, EMPTY), leaf, [event.at])
                person.leaf_states = states

    def known(self, profile_id: UUID, now: int) -> Known:
        person = self._people.get(profile_id)
        if person is None:
            rules = {rule_id: holds(Person(), now) for rule_id, holds in self._holds.items()}
            return Known(rules, trials=self._trials)
        return Known(
            {rule_id: holds(person, now) for rule_id, holds in self._holds.items()},
            timing.Person(person.traits, self._zones[profile_id]),
            trials=self._trials,
        )
