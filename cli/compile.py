"""Compile a mapping into one function from a record to the JSON text of a Segment event."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from cli.mapping import Lookup, Mapping, Value
from cli.values import Getter, Record, Rejected, compile_event, compile_time, compile_value, getter

# Segment's limit for one event; the server would quarantine a larger one.
MAX_EVENT_BYTES = 32 * 1024

Table = dict[str, dict[str, Any]]
Mapper = Callable[[int, Record], bytes]
Fill = Callable[[Record], dict[str, Any]]


def compile_mapping(mapping: Mapping, tables: list[Table], content_digest: bytes) -> Mapper:
    """The function (position, record) → event as JSON; it raises Rejected with the reason.

    `position` is the record's line number (for a JSON array its ordinal); together with the digest
    of the file's content it makes the `messageId`, so identical lines are different events and
    the same file twice is the same events. `tables` are the mapping's lookups in their order.
    """
    user_id = _user(mapping.user.user_id, "userId")
    anonymous_id = _user(mapping.user.anonymous_id, "anonymousId")
    name = None if mapping.event is None else compile_event(mapping.event)
    moment = compile_time(mapping.time)
    body_key = "properties" if mapping.type == "track" else "traits"
    body = (
        _properties(mapping, tables)
        if mapping.type == "track"
        else _values("traits", mapping.traits)
    )
    consent = _consent(mapping)
    seed = hashlib.blake2b(content_digest + mapping.id_scope.encode(), digest_size=16)
    encode = msgspec.json.Encoder().encode

    def to_event(position: int, record: Record) -> bytes:
        digest = seed.copy()
        digest.update(b"%d" % position)
        event: dict[str, Any] = {
            "type": mapping.type,
            "messageId": digest.hexdigest(),
            "channel": "server",
        }
        user = user_id(record) if user_id else None
        anonymous = anonymous_id(record) if anonymous_id else None
        if user:
            event["userId"] = user
        if anonymous:
            event["anonymousId"] = anonymous
        elif not user:
            raise Rejected("user: no userId and no anonymousId in the record")
        if name:
            event["event"] = name(record)
        if moment:
            event["timestamp"] = moment(record)
        event[body_key] = body(record)
        if consent:
            event["context"] = consent(record)
        try:
            encoded = encode(event)
        except (TypeError, ValueError, RecursionError) as error:
            raise Rejected(f"the event cannot be written as JSON: {error}") from error
        if len(encoded) > MAX_EVENT_BYTES:
            raise Rejected(f"the event has {len(encoded)} bytes; the limit is {MAX_EVENT_BYTES}")
        return encoded

    return to_event


def _user(value: Value | None, key: str) -> Getter | None:
    if value is None:
        return None
    read = compile_value(value, f"user.{key}")

    def identifier(record: Record) -> str | None:
        found = read(record)
        if isinstance(found, str):
            return found.strip() or None
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int):
            raise Rejected(f"user.{key}: neither a text nor a whole number")
        return str(found)

    return identifier


def _values(prefix: str, values: dict[str, Value]) -> Fill:
    readers = [(key, compile_value(value, f"{prefix}.{key}")) for key, value in values.items()]

    def fill(record: Record) -> dict[str, Any]:
        out = {}
        for key, read in readers:
            found = read(record)
            if found is not None:
                out[key] = found
        return out

    return fill


def _consent(mapping: Mapping) -> Fill | None:
    """Segment's own place for consent: context.consent.categoryPreferences."""
    if not mapping.consent:
        return None
    boolean = {k: v.model_copy(update={"type": "boolean"}) for k, v in mapping.consent.items()}
    purposes = _values("consent", boolean)
    return lambda record: {"consent": {"categoryPreferences": purposes(record)}}


def _properties(mapping: Mapping, tables: list[Table]) -> Fill:
    rules = mapping.properties
    base = getter(rules.source) if rules.source else None
    used = frozenset(rules.exclude) | (_used_columns(mapping) if rules.remaining else frozenset())
    rename, remaining = dict(rules.rename), rules.remaining
    explicit = _values("properties.values", rules.values)
    joins = [_join(rule, table) for rule, table in zip(mapping.lookups, tables, strict=True)]

    def fill(record: Record) -> dict[str, Any]:
        columns = base(record) if base else record
        out: dict[str, Any] = {}
        if remaining and isinstance(columns, dict):
            for key, found in columns.items():
                if found is not None and found != "" and key not in used:
                    out[rename.get(key, key)] = found
        out.update(explicit(record))
        for join in joins:
            join(out)
        return out

    return fill


def _used_columns(mapping: Mapping) -> frozenset[str]:
    """Columns (with `properties.source`: keys inside it) that another part has taken already."""
    values = [mapping.user.user_id, mapping.user.anonymous_id, *mapping.properties.values.values()]
    names = {mapping.event.column if mapping.event else None}
    names.add(mapping.time.column if mapping.time else None)
    for value in values:
        column = value.column if value else None
        names.update(column if isinstance(column, list) else [column])
    prefix = f"{mapping.properties.source}." if mapping.properties.source else ""
    return frozenset(n.removeprefix(prefix) for n in names if n and n.startswith(prefix))


def _join(rule: Lookup, table: Table) -> Callable[[dict[str, Any]], None]:
    match, required = rule.match, rule.required

    def join(properties: dict[str, Any]) -> None:
        key = properties.get(match)
        row = None if key is None else table.get(str(key))
        if row is not None:
            properties.update(row)
        elif required:
            raise Rejected(f"lookup {rule.file}: nothing for {match} {key!r}")

    return join
