"""Partners' JSON → calls, by a mapping kept as data. Pure."""

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from services.tracking.ingest import clock
from services.tracking.ingest.protocols.call import given
from services.tracking.ingest.refused import Refused
from services.tracking.ingest.wire import MAX_EVENT_BYTES
from services.tracking.webhooks.mapping_model import (
    ConstantValue,
    FromHeader,
    FromPointer,
    MappedProperties,
    MappedTimestamp,
    MappingCondition,
    MappingDocument,
    MappingRule,
    Value,
)
from services.tracking.webhooks.values import CONVERSIONS, as_number, as_string, escape, resolve

_IDS = ("user_id", "anonymous_id", "group_id", "previous_id", "message_id")
_NAMES = ("event", "name", "category")
_CALLED = {
    "user_id": "userId", "anonymous_id": "anonymousId", "group_id": "groupId",
    "previous_id": "previousId", "message_id": "messageId",
}  # fmt: skip
_NEEDED = {"track": "event", "group": "group_id", "alias": "previous_id"}


class NotMapped(Refused):
    """A line of the mapping (``line``, a JSON pointer into it) cannot be followed for this item."""

    def __init__(self, line: str, pointer: str, detail: str, reason: str = "not_mapped") -> None:
        super().__init__(reason, pointer, detail)
        self.line = line


class Skipped(Exception):
    """The mapping does not want this item."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the items of a request share. ``headers`` in lower case."""

    headers: Dictionary[str, str] = field(default_factory=dict)
    around: Any = None
    """The body without its list; None where the body is the item."""
    id: str = ""
    """Of the whole delivery, by Standard Webhooks."""


def said(
    document: MappingDocument, item: Any, delivery: Delivery, position: int | None
) -> dict[str, Any]:
    """The call that ``item`` becomes. ``position``: in its list, None for a whole body.

    Raises ``Skipped`` or ``NotMapped``.
    """
    for index, rule in enumerate(document.rules):
        reader = _Reader(item, delivery, f"#/rules/{index}")
        if all(reader.holds(condition) for condition in rule.when):
            return _call(rule, reader, position)
    raise Skipped


def _call(rule: MappingRule, reader: "_Reader", position: int | None) -> dict[str, Any]:
    call: dict[str, Any] = {"type": rule.type, "channel": "server"}
    for name in _IDS + _NAMES:
        value = reader.text(getattr(rule, name), name)
        if value not in (None, ""):
            call[_CALLED.get(name, name)] = value
    _complain(rule, reader, call)
    if "messageId" not in call and reader.delivery.id:
        inside = "" if position is None else f"/{position}"
        call["messageId"] = reader.delivery.id + inside
    if rule.timestamp is not None:
        call |= given(timestamp=reader.time(rule.timestamp))
    traits = reader.object(rule.traits, "traits")
    context = given(library={"name": "webhook"}, traits={} if rule.type == "group" else traits)
    return call | given(
        properties=reader.object(rule.properties, "properties"), traits=traits, context=context
    )


def _complain(rule: MappingRule, reader: "_Reader", call: dict[str, Any]) -> None:
    """What the call cannot do without: said of the mapping's line, not of the call it never was."""
    needed = _NEEDED.get(rule.type)
    if needed is not None and _CALLED.get(needed, needed) not in call:
        reason = "missing_event" if needed == "event" else "missing_id"
        raise reader.missing(rule, needed, f"A {rule.type} call needs it.", reason)
    if "userId" not in call and "anonymousId" not in call:
        name = (
            "anonymous_id" if rule.user_id is None and rule.anonymous_id is not None else "user_id"
        )
        raise reader.missing(rule, name, "A user_id or anonymous_id is needed.", "missing_id")


class _Reader:
    """Looks into one item for one rule."""

    def __init__(self, item: Any, delivery: Delivery, line: str) -> None:
        self.delivery = delivery
        self._item = item
        self._line = line
        self._room = MAX_EVENT_BYTES

    def holds(self, condition: MappingCondition) -> bool:
        value = self._found(condition.value)
        return any(value == each and type(value) is type(each) for each in condition.among)

    def missing(self, rule: MappingRule, name: str, why: str, reason: str) -> NotMapped:
        value = getattr(rule, name)
        detail = f"The mapping has no {name}. {why}"
        if value is not None:
            detail = f"{self._place(value)} holds no usable {name}. {why}"
        return self._refusal(name, value, detail, reason)

    def text(self, value: Value | None, name: str) -> str | int | float | None:
        if value is None:
            return None
        found = self._value(value, name)
        if isinstance(found, bool) or not isinstance(found, str | int | float | None):
            detail = f"{self._place(value)} holds no text or number."
            raise self._refusal(name, value, detail)
        return found

    def time(self, stamp: MappedTimestamp) -> str | None:
        """ISO 8601."""
        found = self._value(stamp.value, "timestamp/value")
        if found in (None, ""):
            return None
        ms: int | None = None
        if stamp.format == "iso":
            ms = clock.parse(found) if isinstance(found, str) else None
        elif (number := as_number(found)) is not None and 0 <= number < clock.MAX_MS:
            ms = int(number * (1000 if stamp.format == "epoch_seconds" else 1))
        if ms is None or not 0 <= ms < clock.MAX_MS:
            detail = f"{self._place(stamp.value)} holds no time ({stamp.format}) from 1970 to 2100."
            raise self._refusal("timestamp/value", stamp.value, detail)
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")

    def object(self, wanted: MappedProperties | None, name: str) -> dict[str, Any]:
        if wanted is None:
            return {}
        whole: Any = {}
        if wanted.pointer is not None:
            whole = resolve(self._item, wanted.pointer)
            if whole is None:
                whole = {}
            if not isinstance(whole, dict):
                detail = f"{wanted.pointer or 'The item'} is no object."
                raise NotMapped(f"{self._line}/{name}/pointer", wanted.pointer, detail)
        fields = {
            key: self._bounded(value, f"{name}/fields/{escape(key)}")
            for key, value in wanted.fields.items()
        }
        return {**whole, **{key: value for key, value in fields.items() if value is not None}}

    def _bounded(self, value: Value, name: str) -> Any:
        """Many fields may take the same large value: together they must not outgrow an event."""
        found = self._value(value, name)
        if isinstance(found, str):
            self._room -= len(found)
        elif isinstance(found, dict | list):
            self._room -= len(msgspec.json.encode(found))
        if self._room < 0:
            detail = f"The fields are larger than {MAX_EVENT_BYTES} bytes by here."
            raise self._refusal(name, value, detail, "too_large")
        return found

    def _value(self, value: Value, name: str) -> Any:
        if isinstance(value, ConstantValue):
            return value.constant
        found = self._found(value)
        if found is None:
            return None
        if value.table is not None:
            found = self._looked_up(value, found)
        if value.kind is None:
            return found
        converted = CONVERSIONS[value.kind](found)
        if converted is None:
            detail = f"{self._place(value)} cannot be read as a {value.kind}."
            raise self._refusal(name, value, detail)
        return converted

    @staticmethod
    def _looked_up(value: FromPointer | FromHeader, found: Any) -> Any:
        text = as_string(found)
        if value.table and text in value.table:
            return value.table[text]
        if value.otherwise == "skip":
            raise Skipped
        return found if value.otherwise == "keep" else value.otherwise.constant

    def _found(self, value: FromPointer | FromHeader) -> Any:
        if isinstance(value, FromHeader):
            return self.delivery.headers.get(value.header)
        around = value.within == "body" and self.delivery.around is not None
        return resolve(self.delivery.around if around else self._item, value.pointer)

    def _place(self, value: Value) -> str:
        if isinstance(value, FromHeader):
            return f"The header {value.header}"
        if isinstance(value, ConstantValue):
            return "The constant"
        return f"{value.pointer or 'The item'}{' of the body' if value.within == 'body' else ''}"

    def _refusal(
        self, name: str, value: Value | None, detail: str, reason: str = "not_mapped"
    ) -> NotMapped:
        inside = isinstance(value, FromPointer) and value.within == "item"
        pointer = value.pointer if inside and isinstance(value, FromPointer) else ""
        return NotMapped(f"{self._line}/{name}", pointer, detail, reason)
