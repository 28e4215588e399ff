"""Which schemas a plan may hold: none that reads elsewhere, loops or explodes."""

from typing import Any

import pytest

from services.kit.problems import InvalidRequest
from services.tracking.plans.schema import check_schema, compile_schema


def doubling(levels: int) -> dict[str, Any]:
    """Each definition refers to the next one twice."""
    defs: dict[str, Any] = {
        f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{levels}": {"type": "object"}}}


def chain(length: int) -> dict[str, Any]:
    defs: dict[str, Any] = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{length}": {}}}


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"$ref": "file:///etc/passwd"}, "#/s/$ref"),
        ({"properties": {"a": {"$ref": "http://localhost:1/x"}}}, "#/s/properties/a/$ref"),
        ({"$ref": "#"}, "#/s/$ref"),
        ({"$ref": "#/properties/a"}, "#/s/$ref"),
        ({"$ref": "#/$defs/a"}, "#/s/$ref"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}}, "#/s/$defs/a/$ref"),
        ({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}, "#/s/$defs/a/allOf/0/$ref"),
        ({"$dynamicRef": "#x"}, "#/s/$dynamicRef"),
        ({"$id": "http://elsewhere.example/x"}, "#/s/$id"),
        ({"$schema": "http://elsewhere.example/x"}, "#/s"),
        ({"type": "text"}, "#/s/type"),
        ({"properties": {"a": {"pattern": "(?=look)ahead"}}}, "#/s/properties/a/pattern"),
        ({"properties": {"a": {"pattern": "a{1000}{1000}{1000}"}}}, "#/s/properties/a/pattern"),
        (doubling(15), "#/s"),
        (chain(400), "#/s/$ref"),
        ({"allOf": [{} for _ in range(6_000)]}, "#/s"),
    ],
)
def test_a_schema_that_is_not_accepted_is_named(schema: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_schema(schema, "#/s")
    assert refused.value.members["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"$ref": {"type": "string"}, "enum": {"type": "null"}}},
        {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}},
        {"properties": {"a": {"enum": [{"$ref": "no reference"}]}}},
        doubling(8),
        chain(10),
    ],
)
def test_other_schemas_are_accepted(schema: dict[str, Any]) -> None:
    check_schema(schema, "#/s")


def test_messages_do_not_repeat_the_value() -> None:
    validator = compile_schema({"properties": {"card": {"type": "integer", "maximum": 9}}})
    for value in ("4111-1111", 41111111):
        messages = [str(error.message) for error in validator.iter_errors({"card": value})]
        assert messages
        assert "4111" not in "".join(messages)
