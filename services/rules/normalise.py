"""From a tree as people write it to one canonical rule with a stable hash."""

from typing import Any
from uuid import UUID, uuid5

from pydantic import TypeAdapter, ValidationError

from services.contracts import rules as wire
from services.contracts.conditions import Condition
from services.rules.canonical import canonical, digest
from services.rules.conditions import condition
from services.rules.errors import RuleInvalid
from services.rules.events import event, length_ms, sequence
from services.rules.groups import group, where
from services.rules.model import Const, Expr, Held, Rule, Source, Test

MAX_DEPTH = 10
MAX_NODES = 200
# Bound values travel in a URL to a ClickHouse server: in percents this stays below its 1 MiB.
MAX_TEXT = 100_000

PROFILE_FIELDS: frozenset[Source] = frozenset(
    ("traits", "computed", "account", "segment", "stage", "consent", "bucket")
)
# Ids of inner rules are made of their hashes: changing it would begin all waiting anew.
_HELD = UUID("6d0b1a51-7c0f-5f0e-9d4e-3f2a8c1b7e60")

_NODE: TypeAdapter[Any] = TypeAdapter(wire.Node)
_WHERE: TypeAdapter[Any] = TypeAdapter(wire.WhereNode)


def normalise(tree: wire.Node | dict[str, Any]) -> Rule:
    """Return the canonical rule of a tree, a contract model or plain JSON.

    Raises RuleInvalid where the tree is malformed, too deep (more than 10 levels), too large
    (more than 200 nodes or 100,000 characters), or compares what cannot be compared.
    """
    _bound(tree)
    node = _validated(_NODE, tree)
    root = _node(node, "")
    return Rule(root, digest(canonical(root)))


def normalise_where(tree: wire.WhereGroup | dict[str, Any] | None, pointer: str = "") -> Expr:
    """Return the canonical filter of one event's properties and context; None holds always."""
    if tree is None:
        return Const(True)
    _bound(tree)
    return where(_validated(_WHERE, tree), pointer)


def _bound(tree: object) -> None:
    """Refuse bombs by an own stack, before anything recursive sees them."""
    stack: list[tuple[object, int, str]] = [(tree, 1, "")]
    seen = text = 0
    while stack:
        node, depth, pointer = stack.pop()
        seen += 1
        if depth > MAX_DEPTH:
            raise RuleInvalid(pointer, f"a rule has at most {MAX_DEPTH} levels")
        if seen > MAX_NODES:
            raise RuleInvalid(pointer, f"a rule has at most {MAX_NODES} nodes")
        text += _text_length(node)
        if text > MAX_TEXT:
            raise RuleInvalid(pointer, f"a rule has at most {MAX_TEXT} characters of text")
        for key in ("rules", "where", "sequence", "held"):
            below = _get(node, key)
            if isinstance(below, (list, tuple)):
                if len(below) > MAX_NODES:
                    raise RuleInvalid(f"{pointer}/{key}", f"a rule has at most {MAX_NODES} nodes")
                stack.extend(
                    (child, depth + 1, f"{pointer}/{key}/{i}") for i, child in enumerate(below)
                )
            elif below is not None:
                stack.append((below, depth + 1, f"{pointer}/{key}"))


def _get(node: object, key: str) -> object:
    return node.get(key) if isinstance(node, dict) else getattr(node, key, None)


def _text_length(node: object) -> int:
    found = [_get(node, key) for key in ("event", "field", "value")]
    values = found.pop()
    if isinstance(values, (list, tuple)):
        found.extend(values)
    else:
        found.append(values)
    return sum(len(each) for each in found if isinstance(each, str))


def _validated(adapter: TypeAdapter[Any], tree: Any) -> Any:
    try:
        return adapter.validate_python(tree)
    except ValidationError as error:
        # A value is tried as each kind that is accepted: the error of the deepest attempt, and
        # among those not the "wrong kind" ones, says most.
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        first = _pointer(tree, errors[0])
        found = [each for each in errors if _pointer(tree, each).startswith(first)]
        best = max(found, key=lambda e: (_pointer(tree, e).count("/"), not _of_kind(e["type"])))
        raise RuleInvalid(_pointer(tree, best), _accepted(best)) from None


def _of_kind(error_type: str) -> bool:
    return error_type.endswith("_type") or error_type == "missing"


def _pointer(tree: Any, error: Any) -> str:
    """Follow pydantic's location through the real tree; its union tags are not in there."""
    pointer, here = "", tree
    *parts, last = error["loc"] or ("",)
    for part in (*parts, last):
        inside = (isinstance(here, dict) and part in here) or (
            isinstance(here, list) and isinstance(part, int) and part < len(here)
        )
        missing = error["type"] == "missing" and part is last and last != "time"
        if inside or missing:
            pointer += "/" + str(part).replace("~", "~0").replace("/", "~1")
            here = here[part] if inside else None
    return pointer


def _accepted(error: Any) -> str:
    kind, loc = error["type"], error["loc"]
    unfit = _of_kind(kind) or kind == "extra_forbidden"
    if unfit and "Condition" in loc and "value" in loc[loc.index("Condition") :]:
        return 'a string, number, boolean, {"time": "…"} or a list of these is accepted'
    if kind == "model_type":
        return "a group, a condition or an event node is accepted, as a JSON object"
    if kind == "union_tag_invalid":
        return "inside `where` only groups and conditions are accepted"
    if kind == "extra_forbidden":
        return "this key is not known here"
    return str(error["msg"])


def _node(
    node: wire.Group | wire.EventNode | wire.SequenceNode | wire.HeldNode | Condition, pointer: str
) -> Expr:
    if isinstance(node, wire.Group):
        return group(node, pointer, _node)
    if isinstance(node, wire.EventNode):
        return event(node, pointer)
    if isinstance(node, wire.SequenceNode):
        return sequence(node, pointer)
    if isinstance(node, wire.HeldNode):
        return _held(node, pointer)
    return condition(node, pointer, PROFILE_FIELDS)


def _held(node: wire.HeldNode, pointer: str) -> Expr:
    root = _node(node.held, f"{pointer}/held")
    for_ms = length_ms(node.for_, f"{pointer}/for")
    if root == Const(False):
        return root
    rule = Rule(root, digest(canonical(root)))
    if isinstance(root, Test) and root.source == "segment" and root.op == "=":
        return Held(str(root.value), True, rule, for_ms)
    return Held(str(uuid5(_HELD, rule.hash)), False, rule, for_ms)
