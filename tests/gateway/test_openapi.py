"""The committed documents are those of the code, and fit to be read by people and generators."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from openapi_spec_validator import validate

from gateway.merge import METHODS
from gateway.openapi import MERGED, current


@cache
def _document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(MERGED.read_text("utf-8"))
    return found


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in _document()["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def test_committed_documents_are_those_of_the_code() -> None:
    old = [str(path) for path, text in current().items() if not _same(path, text)]
    assert old == [], "run make openapi"


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text("utf-8") == text


def test_the_merged_document_is_valid() -> None:
    validate(_document())


def test_every_operation_has_a_unique_id_and_a_summary() -> None:
    ids = [operation["operationId"] for _, operation in _operations()]
    assert sorted(ids) == sorted(set(ids))
    assert [name for name, operation in _operations() if not operation.get("summary")] == []


def test_nothing_internal_is_shown() -> None:
    assert [path for path in _document()["paths"] if "internal" in path] == []


def test_every_operation_with_a_body_shows_an_example() -> None:
    bare = [
        name
        for name, operation in _operations()
        for media in operation.get("requestBody", {}).get("content", {}).values()
        if not ({"example", "examples"} & media.keys() or _shows(media["schema"]))
    ]
    assert bare == []


def _shows(schema: dict[str, Any]) -> bool:
    """Whether a reader is shown a whole value of ``schema``, in one piece or field by field."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _shows(_document()["components"]["schemas"][name])
    if {"example", "examples", "const", "enum", "default"} & schema.keys():
        return True
    if "oneOf" in schema:
        return all(_shows(choice) for choice in schema["oneOf"])
    if "items" in schema:
        return _shows(schema["items"])
    properties = schema.get("properties", {})
    return bool(properties) and all(
        _shows(properties[name]) for name in schema.get("required", properties)
    )
