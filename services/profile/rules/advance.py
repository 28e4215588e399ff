"""Who enters and leaves what when something about people has changed. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.contracts.changes import Change
from services.profile.consents.policy import NOTHING_SAID, Standing
from services.profile.rules.ruleset import STAGE, Node, RuleSet
from services.rules import EMPTY, LeafState, Person, held_due, next_change, sequence_change


@dataclass(slots=True)
class Subject:
    """A person as rules see them, and what the rules said last: ``stages`` by model."""

    person: Person
    holds: set[str] = field(default_factory=set)
    """Segments, watched and inner rules that held."""
    stages: dict[str, str] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    """Of the rules in ``RuleSet.spans`` that held, since when (ms): the person's own ``since``."""
    dues: dict[str, int | None] = field(default_factory=dict)
    """Of the same, when time alone is next due to change what reads it, as it is stored."""
    consent: Standing = NOTHING_SAID


@dataclass(slots=True)
class Touched:
    """Profiles by the index of the node whose truth may have changed for them."""

    nodes: dict[int, dict[str, None]] = field(default_factory=dict)

    def read(self, rules: RuleSet, read: tuple[str, str], profile_id: str) -> None:
        for index in rules.readers.get(read, ()):
            self.nodes.setdefault(index, {})[profile_id] = None

    def everything(self, rules: RuleSet, profile_ids: Iterable[str]) -> None:
        for profile_id in profile_ids:
            for index in range(len(rules.nodes)):
                self.nodes.setdefault(index, {})[profile_id] = None

    def newcomers(self, rules: RuleSet, profile_ids: Iterable[str]) -> None:
        """People of whom nothing was known: besides this, what is told of them has to be read."""
        new = dict.fromkeys(profile_ids)
        for index in rules.of_newcomers:
            self.nodes.setdefault(index, {}).update(new)

    def spare(self, profile_id: str) -> None:
        for found in self.nodes.values():
            found.pop(profile_id, None)

    def profiles(self) -> set[str]:
        return {profile_id for found in self.nodes.values() for profile_id in found}


@dataclass(frozen=True, slots=True)
class StageChange:
    profile_id: str
    model_id: str
    before: str | None
    after: str | None


@dataclass(slots=True)
class Advanced:
    """What has to be written: (profile, rule) pairs that began or ceased to hold, and so on."""

    entered: list[tuple[str, str]] = field(default_factory=list)
    exited: list[tuple[str, str]] = field(default_factory=list)
    stages: list[StageChange] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


def advance(
    rules: RuleSet, touched: Touched, subjects: dict[str, Subject], now_ms: int
) -> Advanced:
    """Evaluate what was touched, in dependency order; ``subjects`` are brought up to date."""
    result = Advanced()
    for index, node in enumerate(rules.nodes):
        for profile_id in list(touched.nodes.get(index, ())):
            subject = subjects[profile_id]
            value = _value(node, subject, now_ms)
            if node.kind == "model":
                before = subject.stages.get(node.key)
                if value != before:
                    change = StageChange(profile_id, node.key, before, value)
                    _move(result, rules, subject, change, now_ms)
                    if node.key == rules.primary_model:
                        touched.read(rules, STAGE, profile_id)
            elif (value is not None) != (node.key in subject.holds):
                entered = value is not None
                _cross(result, node.kind, node.key, subject, profile_id, entered)
                if node.key in rules.spans:
                    _time(subject, node.key, entered, now_ms)
                if node.announced:
                    result.changes.append(_news(node.kind, node.key, profile_id, entered, now_ms))
                if node.kind != "watch":
                    touched.read(rules, (node.kind, node.key), profile_id)
    return result


def _value(node: Node, subject: Subject, now_ms: int) -> str | None:
    """In no segment, and of no rule, is whoever asked not to be treated by who they are."""
    if subject.consent.non_personalised and node.kind != "model":
        return None
    return node.value(subject.person, now_ms)


def _move(
    result: Advanced, rules: RuleSet, subject: Subject, change: StageChange, now_ms: int
) -> None:
    if change.after is None:
        del subject.stages[change.model_id]
    else:
        subject.stages[change.model_id] = change.after
    if change.model_id == rules.primary_model:
        subject.person.stage = change.after
    result.stages.append(change)
    data = {"model_id": change.model_id, "from": change.before, "to": change.after}
    result.changes.append(Change("stage.changed", change.profile_id, now_ms, data))


def _cross(
    result: Advanced, kind: str, key: str, subject: Subject, profile_id: str, entered: bool
) -> None:
    if entered:
        subject.holds.add(key)
        result.entered.append((profile_id, key))
    else:
        subject.holds.discard(key)
        result.exited.append((profile_id, key))
    if kind == "segment":
        subject.person.segments = subject.person.segments ^ {key}


def _time(subject: Subject, key: str, entered: bool, now_ms: int) -> None:
    if entered:
        subject.since[key] = now_ms
    else:
        subject.since.pop(key, None)


def _news(kind: str, key: str, profile_id: str, entered: bool, now_ms: int) -> Change:
    if kind == "watch":
        data = {"rule_id": key, "value": entered}
        return Change("rule.matched", profile_id, now_ms, data)
    type_ = "segment.entered" if entered else "segment.exited"
    return Change(type_, profile_id, now_ms, {"segment_id": key})  # type: ignore[arg-type]


def due(rules: RuleSet, leaf_id: str, states: Mapping[str, LeafState], now_ms: int) -> int | None:
    """When time alone may next change a live rule through this leaf of a person, in ms."""
    plan = rules.leaves.get(leaf_id)
    if plan is None or (plan.leaf.last_ms is None and not plan.sequences):
        return None
    state = states.get(leaf_id, EMPTY)
    found = [sequence_change(sequence, states, now_ms) for sequence in plan.sequences]
    if plan.leaf.last_ms is not None:
        found += [next_change(state, plan.leaf, n, now_ms) for n in plan.thresholds]
    return min((at for at in found if at is not None), default=None)


def dues(
    rules: RuleSet, subjects: Mapping[str, Subject], now_ms: int
) -> dict[tuple[str, str], int | None]:
    """By (profile, held rule), when a live rule may next change because it has held so long.

    Only where that is not what is stored.
    """
    changed: dict[tuple[str, str], int | None] = {}
    for profile_id, subject in subjects.items():
        for key, since_ms in subject.since.items():
            asked = rules.spans.get(key, ())
            found = (held_due(since_ms, span, now_ms) for span in asked)
            at = min((at for at in found if at is not None), default=None)
            if at != subject.dues.get(key):
                changed[profile_id, key] = at
    return changed
