"""A JSON Schema from samples of what was sent: paths, types and how often each is there. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MAX_KEYS = 200
"""An object with more different keys over the sample is a map: its keys are data, not names."""
MAX_DEPTH = 8


@dataclass(slots=True)
class Shape:
    """What was seen at one place. ``held``: how many objects were there to hold a key."""

    types: Counter[str] = field(default_factory=Counter)
    held: int = 0
    keys: dict[str, "Shape"] = field(default_factory=dict)
    present: Counter[str] = field(default_factory=Counter)
    items: "Shape | None" = None
    open: bool = False


def observe(samples: Iterable[dict[str, Any]]) -> Shape:
    root = Shape()
    for sample in samples:
        _add(root, sample, 0)
    return root


def paths(shape: Shape, prefix: str = "") -> list[tuple[str, list[str], float]]:
    """(path, types, share of the holding objects that have it) of everything below ``shape``."""
    found: list[tuple[str, list[str], float]] = []
    for key, inner in sorted(shape.keys.items()):
        path = f"{prefix}.{key}" if prefix else key
        found.append((path, sorted(inner.types), shape.present[key] / shape.held))
        found += paths(inner, path)
    if shape.items is not None:
        found += paths(shape.items, f"{prefix}[]")
    return found


def schema(shape: Shape, required_share: float) -> dict[str, Any]:
    """Accepts every sample; keys present in ``required_share`` of their objects are required."""
    kinds = sorted(shape.types)
    if "number" in kinds and "integer" in kinds:
        kinds.remove("integer")
    made: dict[str, Any] = {}
    if kinds:
        made["type"] = kinds[0] if len(kinds) == 1 else kinds
    if shape.keys and not shape.open:
        required = sorted(
            key for key, count in shape.present.items() if count >= required_share * shape.held
        )
        if required:
            made["required"] = required
        made["properties"] = {
            key: schema(inner, required_share) for key, inner in sorted(shape.keys.items())
        }
    if shape.items is not None and shape.items.types:
        made["items"] = schema(shape.items, required_share)
    return made


def _add(shape: Shape, value: Any, depth: int) -> None:
    shape.types[_type(value)] += 1
    if depth == MAX_DEPTH:
        return
    if isinstance(value, dict):
        shape.held += 1
        for key, inner in value.items():
            if shape.open:
                return
            shape.present[key] += 1
            _add(shape.keys.setdefault(key, Shape()), inner, depth + 1)
            if len(shape.keys) > MAX_KEYS:
                shape.open, shape.keys, shape.present = True, {}, Counter()
    elif isinstance(value, list):
        shape.items = shape.items or Shape()
        for inner in value[:100]:
            _add(shape.items, inner, depth + 1)


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "integer", float: "number", dict: "object", list: "array"}
    return names[type(value)]
