"""From a tree as people write it to one canonical rule with a stable hash."""

from collections.abc import Callable
from hashlib import sha256
from json import dumps
from typing import Any

from pydantic import TypeAdapter, ValidationError

from services.contracts import rules as wire
from services.rules.canonical import canonical, compose, conjunction, disjunction, negate
from services.rules.conditions import condition
from services.rules.errors import RuleInvalid
from services.rules.instants import to_us
from services.rules.model import AtLeast, Const, Expr, Leaf, Rule, Source

MAX_DEPTH = 10
MAX_NODES = 200
# Bound values travel in a URL to a ClickHouse server: in percents this stays below its 1 MiB.
MAX_TEXT = 100_000

PROFILE_FIELDS: frozenset[Source] = frozenset(
    ("traits", "computed", "account", "segment", "stage", "consent")
)
EVENT_FIELDS: frozenset[Source] = frozenset(("properties", "context"))

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
    return Rule(root, _digest(canonical(root)))


def normalise_where(tree: wire.WhereGroup | dict[str, Any] | None, pointer: str = "") -> Expr:
    """Return the canonical filter of one event's properties and context; None holds always."""
    if tree is None:
        return Const(True)
    _bound(tree)
    return _where(_validated(_WHERE, tree), pointer)


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
        for key in ("rules", "where"):
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


def _node(node: wire.Group | wire.EventNode | wire.Condition, pointer: str) -> Expr:
    if isinstance(node, wire.Group):
        return _group(node, pointer, _node)
    if isinstance(node, wire.EventNode):
        return _event(node, pointer)
    return condition(node, pointer, PROFILE_FIELDS)


def _where(node: wire.WhereGroup | wire.Condition, pointer: str) -> Expr:
    if isinstance(node, wire.WhereGroup):
        return _group(node, pointer, _where)
    return condition(node, pointer, EVENT_FIELDS)


def _group(group: Any, pointer: str, below: Callable[[Any, str], Expr]) -> Expr:
    children = [below(child, f"{pointer}/rules/{i}") for i, child in enumerate(group.rules)]
    if not children:
        joined: Expr = Const(True)
    else:
        joined = compose(children, conjunction if group.combinator == "and" else disjunction)
    return negate(joined) if group.not_ else joined


def _event(node: wire.EventNode, pointer: str) -> Expr:
    if "\0" in node.event:
        raise RuleInvalid(f"{pointer}/event", "an event name without a NUL character is accepted")
    where = _where(node.where, f"{pointer}/where") if node.where else Const(True)
    last_ms, after_ms, before_ms = _window(node.window, f"{pointer}/window")

    def at_least(n: int) -> Expr:
        if n <= 0:
            return Const(True)
        if where == Const(False):
            return Const(False)
        return AtLeast(_leaf(node.event, where, last_ms, after_ms, before_ms, n), n)

    count = node.count or wire.Count()
    n = count.value
    exactly = compose([at_least(n), negate(at_least(n + 1))], conjunction)
    holds = {
        ">=": at_least(n),
        ">": at_least(n + 1),
        "<": negate(at_least(n)),
        "<=": negate(at_least(n + 1)),
        "=": exactly,
        "!=": negate(exactly),
    }[count.operator]
    return holds if node.did else negate(holds)


def _window(window: wire.Window | None, pointer: str) -> tuple[int | None, int | None, int | None]:
    if window is None:
        return None, None, None
    sliding = window.last_seconds is not None or window.last_days is not None
    fixed = window.after is not None or window.before is not None
    if sliding == fixed or (window.last_seconds is not None and window.last_days is not None):
        raise RuleInvalid(
            pointer, "either last_seconds, or last_days, or after and/or before is accepted"
        )
    if sliding:
        return 1000 * (window.last_seconds or 86_400 * (window.last_days or 0)), None, None
    bounds: list[int | None] = []
    for key, moment in (("after", window.after), ("before", window.before)):
        if moment is not None and not 1910 <= moment.year <= 2199:
            raise RuleInvalid(f"{pointer}/{key}", "a time from 1910 to 2199 is accepted")
        # A bound between two milliseconds: events have whole ones, so the next one decides.
        bounds.append(None if moment is None else -(-to_us(moment) // 1000))
    if bounds[0] is not None and bounds[1] is not None and bounds[0] >= bounds[1]:
        raise RuleInvalid(f"{pointer}/before", "a time later than `after` is accepted")
    return None, bounds[0], bounds[1]


def _leaf(
    event: str,
    where: Expr,
    last_ms: int | None,
    after_ms: int | None,
    before_ms: int | None,
    n: int,
) -> Leaf:
    keep = 0
    if last_ms is not None:
        keep = next((size for size in (1, 8, 64) if n <= size), 0)
    shape = ["leaf", event, canonical(where), last_ms, after_ms, before_ms, keep]
    return Leaf(_digest(shape), event, where, last_ms, after_ms, before_ms, keep)


def _digest(shape: object) -> str:
    """128 bits of SHA-256 over canonical JSON, in hex: changing the form re-registers rules."""
    text = dumps(shape, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return sha256(text.encode()).hexdigest()[:32]
