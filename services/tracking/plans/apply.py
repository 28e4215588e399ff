"""Holds events to a tracking plan, in ingestion. Pure, and on the hot path.

A valid event costs one decode of its properties and one ``is_valid``; errors are only walked where
that says no.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import msgspec

from services.contracts.events import Event
from services.contracts.tracking import PlanMode, Violation
from services.tracking.ingest.canonical import canonical
from services.tracking.ingest.refused import Refused
from services.tracking.plans.schema import Validator, compile_schema

MAX_VIOLATIONS = 20
"""Noted per event."""
_MAX_ERRORS = 200

_NEVER_UNPLANNED = frozenset({"identify", "group", "alias"})
_IN_TRAITS = frozenset({"identify", "group"})
_TYPES: dict[str, Literal["required_missing", "type_mismatch", "unplanned_property"]] = {
    "required": "required_missing",
    "type": "type_mismatch",
    "additionalProperties": "unplanned_property",
    "unevaluatedProperties": "unplanned_property",
}
_OURS = frozenset({"plan", "version", "violations", "omitted", "omitted_on_violation"})
_UNPLANNED = Violation(
    type="unplanned_event", field="", description="The plan has no event of this name."
)
_object = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode

Path = tuple[str | int, ...]
UnplannedEvents = Literal["allow", "violation"]
UnplannedProperties = Literal["allow", "omit", "violation"]


class ViolatesPlan(Refused):
    """The plan's mode keeps the event out. ``reason``: ``plan_violation`` (set aside quietly) or
    ``plan_blocked`` (the sender is told)."""

    def __init__(
        self,
        mode: PlanMode,
        version: Mapping[str, Any],
        violations: Sequence[Violation],
        event: Event,
    ) -> None:
        reason = "plan_blocked" if mode == "block" else "plan_violation"
        detail = "; ".join(v.description for v in violations[:3])
        super().__init__(reason, violations[0].field, detail)
        self.violations = violations
        self.message_id = event.message_id
        self._event = event.event
        self._version = version

    def record(self) -> str:
        """JSON for the quarantine: plan, version, event, violations."""
        found = [v.model_dump() for v in self.violations]
        return _encode({**self._version, "event": self._event, "violations": found}).decode()


@dataclass(slots=True)
class _Findings:
    violations: list[Violation]
    omitted: list[Path]
    wrong: list[Path]


class Plan:
    """One version of a plan as one source runs it. Validators are compiled at first sight."""

    def __init__(
        self, plan_id: UUID, version: int, mode: PlanMode, document: Mapping[str, Any]
    ) -> None:
        self._mode = mode
        self._own = {"plan": str(plan_id), "version": version}
        self._mark = f'"protocols":{_encode(self._own).decode()}}}'
        self._schemas: dict[str, dict[str, Any]] = {
            name: planned.get("schema") or {} for name, planned in document["events"].items()
        }
        self._unplanned_events: UnplannedEvents = document["unplanned_events"]
        self._extras: UnplannedProperties = document["unplanned_properties"]
        self._validators: dict[str, Validator] = {}

    def hold(self, event: Event) -> None:
        """Checks ``event``, notes what was found in ``context.protocols``, and drops properties
        where the plan says so. ``ViolatesPlan`` where it keeps the event out."""
        validator = self._validators.get(event.event) or self._compile(event.event)
        if validator is None:
            if self._unplanned_events == "violation" and event.type not in _NEVER_UNPLANNED:
                self._broken(event, _Findings([_UNPLANNED], [], []), {})
            return
        value = _object.decode(event.traits if event.type in _IN_TRAITS else event.properties)
        if not validator.is_valid(value):
            place = "/traits" if event.type in _IN_TRAITS else "/properties"
            self._broken(event, self._find(validator, value, place), value)
        elif event.context == "{}":
            event.context = "{" + self._mark
        elif '"protocols"' not in event.context:
            event.context = f"{event.context[:-1]},{self._mark}"
        else:
            self._note(event, {})

    def _compile(self, name: str) -> Validator | None:
        schema = self._schemas.get(name)
        if schema is None:
            return None
        validator = compile_schema(schema, closed=self._extras != "allow")
        self._validators[name] = validator
        return validator

    def _find(self, validator: Validator, value: dict[str, Any], place: str) -> _Findings:
        found = _Findings([], [], [])
        for number, error in enumerate(validator.iter_errors(value)):
            if number == _MAX_ERRORS:
                break
            path: Path = tuple(error.instance_path)
            kind = error.kind.name
            for broken in _places(error, path, kind):
                if kind == "additionalProperties" and not path and self._extras == "omit":
                    found.omitted.append(broken)
                    continue
                found.wrong.append(broken)
                if len(found.violations) < MAX_VIOLATIONS:
                    found.violations.append(
                        Violation(
                            type=_TYPES.get(kind, "invalid_value"),
                            field=place + pointer(broken),
                            description=error.message[:300],
                        )
                    )
        return found

    def _broken(self, event: Event, found: _Findings, value: dict[str, Any]) -> None:
        if found.violations and self._mode in ("quarantine", "block"):
            raise ViolatesPlan(self._mode, self._own, found.violations, event)
        notes: dict[str, Any] = {}
        if found.violations:
            notes["violations"] = [v.model_dump() for v in found.violations]
        gone = _remove(value, found.omitted)
        if gone:
            notes["omitted"] = gone
        if self._mode == "omit":
            wrong = _remove(value, found.wrong)
            if wrong:
                notes["omitted_on_violation"] = wrong
        if "omitted" in notes or "omitted_on_violation" in notes:
            text = canonical(value)
            if event.type in _IN_TRAITS:
                event.traits = text
            else:
                event.properties = text
        self._note(event, notes)

    def _note(self, event: Event, notes: dict[str, Any]) -> None:
        """What the client itself said under our names is no finding of ours."""
        context = _object.decode(event.context)
        said = context.get("protocols")
        kept = {k: v for k, v in said.items() if k not in _OURS} if isinstance(said, dict) else {}
        context["protocols"] = kept | self._own | notes
        event.context = _encode(context).decode()


def pointer(path: Path) -> str:
    """A path as a JSON pointer."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _places(error: Any, path: Path, kind: str) -> list[Path]:
    if kind == "required":
        return [(*path, error.kind.property)]
    if kind in ("additionalProperties", "unevaluatedProperties"):
        return [(*path, name) for name in error.kind.unexpected]
    return [path]


def _remove(value: dict[str, Any], paths: Sequence[Path]) -> list[str]:
    """Takes out what is at ``paths``; the pointers of what was there. Of a list the whole goes:
    its other items would change their places."""
    gone: list[str] = []
    for path in paths:
        while path and isinstance(path[-1], int):
            path = path[:-1]
        holder: Any = value
        for step in path[:-1]:
            if isinstance(holder, dict):
                holder = holder.get(str(step))
            elif isinstance(holder, list) and isinstance(step, int) and step < len(holder):
                holder = holder[step]
            else:
                holder = None
        if path and isinstance(holder, dict) and path[-1] in holder:
            del holder[path[-1]]
            if len(gone) < MAX_VIOLATIONS:
                gone.append(pointer(path))
    return gone
