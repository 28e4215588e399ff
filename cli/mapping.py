"""The mapping file: which column of a record becomes which part of an event."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

Scalar = str | int | float | bool
ValueType = Literal["any", "string", "number", "integer", "boolean", "date", "datetime"]


class MappingError(Exception):
    """The mapping file cannot be used; the text names the file and the key."""


class Part(BaseModel):
    """Base of all parts: closed, so that a misspelt key is an error and not a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Value(Part):
    """One value of an event: taken from columns, from a template, or constant.

    `column` names a column (`a.b` reaches into objects) or several: the first with a value wins.
    `missing` lists sentinels that mean "no value"; no value leaves the key out of the event.
    `format` is read for the types date and datetime, in the letters of `strptime`.
    """

    column: str | list[str] | None = None
    constant: Scalar | None = None
    template: str | None = None
    type: ValueType = "any"
    format: str | None = None
    missing: list[Scalar] = []

    @model_validator(mode="after")
    def _one_origin(self) -> Value:
        given = [name for name in ("column", "constant", "template") if self._has(name)]
        if len(given) != 1:
            raise ValueError("exactly one of column, constant, template is needed")
        if self.format is not None and self.type not in ("date", "datetime"):
            raise ValueError("format belongs to the types date and datetime")
        return self

    def _has(self, name: str) -> bool:
        return getattr(self, name) is not None


def _column_shorthand(raw: Any) -> Any:
    return {"column": raw} if isinstance(raw, str | list) else raw


def _consent_shorthand(raw: Any) -> Any:
    return {"constant": raw} if isinstance(raw, bool) else _column_shorthand(raw)


def _instant(raw: Any) -> Any:
    """YAML reads some times by itself; both ways end as an aware UTC time."""
    if isinstance(raw, str):
        raw = datetime.fromisoformat(raw)
    if isinstance(raw, datetime):
        return raw.replace(tzinfo=UTC) if raw.tzinfo is None else raw.astimezone(UTC)
    return raw


ColumnValue = Annotated[Value, BeforeValidator(_column_shorthand)]
ConsentValue = Annotated[Value, BeforeValidator(_consent_shorthand)]
Instant = Annotated[datetime, BeforeValidator(_instant)]


class User(Part):
    """Who did it; a record in which neither gives a value is rejected."""

    user_id: ColumnValue | None = Field(default=None, alias="userId")
    anonymous_id: ColumnValue | None = Field(default=None, alias="anonymousId")

    @model_validator(mode="after")
    def _someone(self) -> User:
        if self.user_id is None and self.anonymous_id is None:
            raise ValueError("userId or anonymousId is needed")
        return self


class EventName(Part):
    """The event's name, with an optional table from the file's names to ours."""

    column: str | None = None
    constant: str | None = None
    rename: dict[str, str] = {}
    unlisted: Literal["keep", "reject"] = "keep"

    @model_validator(mode="after")
    def _one_origin(self) -> EventName:
        if (self.column is None) == (self.constant is None):
            raise ValueError("exactly one of column, constant is needed")
        return self


class Time(Part):
    """When it happened: ISO 8601, seconds or milliseconds since 1970, or an offset from `origin`.

    A time without a zone is UTC. Left out altogether, an event carries the time of its receipt.
    """

    column: str | None = None
    constant: Instant | None = None
    format: Literal["iso", "epoch_s", "epoch_ms", "offset"] = "iso"
    unit: Literal["seconds", "minutes", "hours", "days"] | None = None
    origin: Instant | None = None

    @model_validator(mode="after")
    def _complete(self) -> Time:
        if (self.column is None) == (self.constant is None):
            raise ValueError("exactly one of column, constant is needed")
        if (self.format == "offset") != (self.unit is not None and self.origin is not None):
            raise ValueError("unit and origin are needed with the format offset, and only there")
        return self


class Properties(Part):
    """Which properties a track event carries.

    `source` names a column that holds an object to be read in place of the record itself.
    `remaining` takes every column that no other part of the mapping has used.
    """

    source: str | None = None
    remaining: bool = False
    exclude: list[str] = []
    rename: dict[str, str] = {}
    values: dict[str, ColumnValue] = {}


class Lookup(Part):
    """A small reference file: where its `key` equals the event's property `match`, `add` is added.

    `file` is looked for beside the mapping file, then beside the imported file.
    `add` maps a property to the lookup's column.
    """

    file: str
    key: str
    match: str
    add: dict[str, str]
    required: bool = False


class Csv(Part):
    """How a CSV file is written; without `columns` its first line names them."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    columns: list[str] | None = None


class Mapping(Part):
    """A whole mapping file. `id_scope` keeps two mappings over one file apart (see `compile`)."""

    type: Literal["track", "identify"]
    format: Literal["csv", "ndjson", "json"] | None = None
    csv: Csv = Csv()
    user: User
    event: EventName | None = None
    time: Time | None = None
    properties: Properties = Properties()
    traits: dict[str, ColumnValue] = {}
    consent: dict[str, ConsentValue] = {}
    lookups: list[Lookup] = []
    id_scope: str = ""

    @model_validator(mode="after")
    def _fits_type(self) -> Mapping:
        if (self.type == "track") != (self.event is not None):
            raise ValueError("event is needed for the type track, and only there")
        if self.type == "identify" and (self.properties != Properties() or self.lookups):
            raise ValueError("properties and lookups belong to the type track")
        if self.type == "track" and self.traits:
            raise ValueError("traits belong to the type identify")
        return self


def load_mapping(path: Path) -> Mapping:
    """Read and check a mapping file; raises MappingError naming every wrong key."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MappingError(f"{path}: {error}") from error
    try:
        return Mapping.model_validate(raw)
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(str(part) for part in item['loc']) or '(file)'}: {item['msg']}"
            for item in error.errors()
        ]
        raise MappingError("\n".join(lines)) from error
