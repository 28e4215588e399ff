"""Compile the value, time and name parts of a mapping into plain functions of a record."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.mapping import EventName, Time, Value

Record = dict[str, Any]
Getter = Callable[[Record], Any]

_UNIT_SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
_FIELD = re.compile(r"\{([^{}]*)\}")
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
# Times repeat (one day has few distinct seconds), so formatting them is cached, within bounds.
_CACHED_TIMES = 100_000


class Rejected(Exception):
    """This record cannot become an event; the text is the reason given in the report."""


def getter(path: str) -> Getter:
    """A function that reads a column; `a.b` reaches into an object unless a column has that name.

    An absent column gives None.
    """
    head, _, rest = path.partition(".")
    if not rest:
        return lambda record: record.get(path)
    inner = getter(rest)

    def read(record: Record) -> Any:
        if path in record:
            return record[path]
        nested = record.get(head)
        return inner(nested) if isinstance(nested, dict) else None

    return read


def compile_value(value: Value, key: str) -> Getter:
    """A function giving the typed value, or None for none; raises Rejected naming `key`."""
    read = _origin(value)
    if value.constant is not None:
        return read
    # 118 and "118" both mean the sentinel: CSV cannot tell them apart.
    missing = frozenset(str(item) for item in value.missing)
    convert = None if value.type == "any" else _converter(value)

    def typed(record: Record) -> Any:
        found = read(record)
        if found is None or found == "":
            return None
        if missing and str(found) in missing:
            return None
        if convert is None:
            return found
        try:
            return convert(found)
        except (ValueError, OverflowError, TypeError) as error:
            raise Rejected(f"{key}: {_short(found)} is not a valid {value.type}") from error

    return typed


def _origin(value: Value) -> Getter:
    if value.constant is not None:
        constant = value.constant
        return lambda _record: constant
    if value.template is not None:
        return _template(value.template)
    columns = [value.column] if isinstance(value.column, str) else list(value.column or ())
    if len(columns) == 1:
        return getter(columns[0])
    readers = [getter(column) for column in columns]

    def first(record: Record) -> Any:
        for read in readers:
            found = read(record)
            if found is not None and found != "":
                return found
        return None

    return first


def _template(template: str) -> Getter:
    """`{column}` becomes the column's text; one missing column makes the whole value missing."""
    pieces = _FIELD.split(template)
    texts, readers = pieces[0::2], [getter(name) for name in pieces[1::2]]

    def fill(record: Record) -> str | None:
        out = texts[0]
        for read, text in zip(readers, texts[1:], strict=True):
            found = read(record)
            if found is None or found == "":
                return None
            out += str(found) + text
        return out

    return fill


def _converter(value: Value) -> Callable[[Any], Any]:
    if value.type in ("date", "datetime"):
        return _dates(value)
    return {"string": _string, "number": _number, "integer": _integer, "boolean": _boolean}[
        value.type
    ]


def _dates(value: Value) -> Callable[[Any], str]:
    form, whole = value.format, value.type == "datetime"

    def convert(found: Any) -> str:
        text = _string(found)
        moment = datetime.fromisoformat(text) if form is None else _strptime(text, form)
        return iso(moment) if whole else moment.date().isoformat()

    return convert


def _strptime(text: str, form: str) -> datetime:
    moment = datetime.strptime(text, form)  # noqa: DTZ007 - a zone-less time is UTC, see `iso`
    if moment.strftime(form) != text and len(text) < len(moment.strftime(form)):
        raise ValueError(text)  # strptime reads "2017212" as 2017-02-12 or 2017-21-2 as it likes
    return moment


def _string(found: Any) -> str:
    if isinstance(found, str):
        return found
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, int | float):
        return str(found)
    raise TypeError(found)


def _number(found: Any) -> int | float:
    if isinstance(found, bool):
        raise TypeError(found)
    if isinstance(found, str):
        if "_" in found:
            raise ValueError(found)  # Python reads 1_000, the world does not
        found = float(found) if any(c in found for c in ".eEnN") else int(found)
    if not isinstance(found, int | float) or not math.isfinite(found):
        raise TypeError(found)
    return found


def _integer(found: Any) -> int:
    number = _number(found)
    if number != int(number):
        raise ValueError(found)
    return int(number)


def _boolean(found: Any) -> bool:
    if isinstance(found, bool):
        return found
    try:
        return _BOOLEANS[str(found).strip().lower()]
    except KeyError as error:
        raise ValueError(found) from error


def iso(moment: datetime) -> str:
    """Aware or UTC time as the wire's text, at least in milliseconds, with `Z`."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    digits = "microseconds" if aware.microsecond % 1000 else "milliseconds"
    return aware.isoformat(timespec=digits).replace("+00:00", "Z")


def compile_time(time: Time | None) -> Getter | None:
    """A function giving the wire's text of the event time; raises Rejected when unreadable."""
    if time is None:
        return None
    if time.constant is not None:
        constant = iso(time.constant)
        return lambda _record: constant
    column, parse = str(time.column), _time_parser(time)
    read, cache = getter(column), dict[Any, str]()

    def moment(record: Record) -> str:
        found = read(record)
        try:
            known = cache.get(found)
            if known is not None and not isinstance(found, bool):
                return known
            text = iso(parse(found))
        except (ValueError, OverflowError, TypeError) as error:
            raise Rejected(
                f"time: {column} {_short(found)} is not a time ({time.format})"
            ) from error
        if len(cache) < _CACHED_TIMES:
            cache[found] = text
        return text

    return moment


def _time_parser(time: Time) -> Callable[[Any], datetime]:
    if time.format == "iso":
        return _iso_time
    scale = {"epoch_s": 1.0, "epoch_ms": 0.001}.get(time.format)
    if scale is None:
        scale = float(_UNIT_SECONDS[time.unit or "seconds"])
    origin = time.origin or datetime(1970, 1, 1, tzinfo=UTC)
    return lambda found: origin + timedelta(seconds=_number(found) * scale)


def _iso_time(found: Any) -> datetime:
    if not isinstance(found, str):
        raise TypeError(found)
    return datetime.fromisoformat(found)


def compile_event(event: EventName) -> Getter:
    """A function giving the event's name; raises Rejected when it is missing or unlisted."""
    if event.constant is not None:
        constant = event.constant
        return lambda _record: constant
    read, table, closed = getter(str(event.column)), dict(event.rename), event.unlisted == "reject"

    def name(record: Record) -> str:
        found = read(record)
        if not isinstance(found, str) or not found:
            raise Rejected(f"event: {event.column} is missing or not a text")
        renamed = table.get(found)
        if renamed is None:
            if closed:
                raise Rejected(f"event: {_short(found)} is not listed in event.rename")
            return found
        return renamed

    return name


def _short(found: Any) -> str:
    text = repr(found)
    return text if len(text) <= 60 else text[:57] + "..."
