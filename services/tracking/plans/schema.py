"""JSON Schemas of tracking plans: which are accepted, and how they are compiled. Pure.

A plan is written by one workspace and run in a process that serves all of them. So a schema
fetches nothing, its expressions run in linear time, and its references neither loop nor multiply.
"""

from typing import Any, Protocol

import jsonschema_rs

from services.kit.problems import InvalidRequest

MAX_PARTS = 5_000
"""Objects and lists in a schema with every reference replaced by what it stands for."""
_MAX_CHAIN = 16
_REFUSED = frozenset({"$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$recursiveAnchor", "$id"})
_LITERALS = frozenset({"const", "enum", "default", "examples"})
_MASK = "The value"


class Validator(Protocol):
    def is_valid(self, instance: Any) -> bool: ...

    def iter_errors(self, instance: Any) -> Any: ...


def check_schema(schema: dict[str, Any], pointer: str) -> None:
    """``InvalidRequest`` at the place in the schema that is not acceptable."""
    _Measure(schema, pointer).run()
    try:
        _compile(schema, mask=None)
    except jsonschema_rs.ValidationError as error:
        place = "".join(f"/{step}" for step in error.instance_path)
        detail = f"Not a JSON Schema: {error.message[:300]}"
        raise InvalidRequest.at(pointer + place, detail) from error


def compile_schema(schema: dict[str, Any], *, closed: bool = False) -> Validator:
    """``closed``: properties the schema does not name are errors, unless it speaks of them itself.

    Messages do not repeat the value: they are stored, and the value may be a person's.
    """
    if closed and "additionalProperties" not in schema:
        schema = {**schema, "additionalProperties": False}
    return _compile(schema, _MASK)


def _compile(schema: dict[str, Any], mask: str | None) -> Validator:
    return jsonschema_rs.validator_for(
        schema, retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions(), mask=mask
    )


def _refuse(uri: str) -> Any:
    raise ValueError(f"References to other documents are not followed: {uri[:200]}")


class _Measure:
    """Counts the parts of a schema as if references were written out; loops are endless."""

    def __init__(self, root: dict[str, Any], pointer: str) -> None:
        self._root = root
        self._pointer = pointer
        self._sizes: dict[str, int] = {}
        self._open: set[str] = set()

    def run(self) -> None:
        if self._size(self._root, self._pointer) > MAX_PARTS:
            raise InvalidRequest.at(
                self._pointer, f"More than {MAX_PARTS} parts, references written out."
            )

    def _size(self, node: Any, pointer: str) -> int:
        if isinstance(node, list):
            return 1 + sum(self._size(n, f"{pointer}/{i}") for i, n in enumerate(node))
        if not isinstance(node, dict):
            return 0
        total = 1
        for key, inner in node.items():
            here = f"{pointer}/{key}"
            if key in _REFUSED and not isinstance(inner, dict):
                raise InvalidRequest.at(here, f"{key} is not accepted; use $ref to #/$defs/….")
            if key == "$ref" and isinstance(inner, str):
                total += self._referred(inner, here)
            elif key not in _LITERALS or isinstance(inner, dict):
                total += self._size(inner, here)
        return min(total, MAX_PARTS + 1)

    def _referred(self, reference: str, pointer: str) -> int:
        if reference in self._sizes:
            return self._sizes[reference]
        if reference in self._open:
            raise InvalidRequest.at(pointer, "The reference leads back to itself.")
        if len(self._open) == _MAX_CHAIN:
            raise InvalidRequest.at(pointer, f"More than {_MAX_CHAIN} references in a row.")
        self._open.add(reference)
        try:
            size = self._size(self._target(reference, pointer), pointer)
        except InvalidRequest as error:
            # Named where the writer finds it: at the first reference that leads there.
            raise InvalidRequest.at(pointer, error.detail) from error
        self._open.discard(reference)
        self._sizes[reference] = size
        return size

    def _target(self, reference: str, pointer: str) -> Any:
        steps = reference.split("/")
        if len(steps) < 3 or steps[0] != "#" or steps[1] not in ("$defs", "definitions"):
            raise InvalidRequest.at(pointer, "Only references to #/$defs/… are accepted.")
        found: Any = self._root
        for step in steps[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or "%" in key or key not in found:
                raise InvalidRequest.at(pointer, "The reference leads nowhere.")
            found = found[key]
        return found
