"""Boolean algebra of the normaliser: flatten, fold constants, sort, drop doubles."""

from collections.abc import Callable, Iterable
from hashlib import sha256
from json import dumps

from services.rules.model import All, AtLeast, Const, Expr, Held, Not, Sequence, Some, Test, Time


def negate(expr: Expr) -> Expr:
    if isinstance(expr, Const):
        return Const(not expr.value)
    return expr.child if isinstance(expr, Not) else Not(expr)


def conjunction(children: list[Expr]) -> Expr:
    return All(tuple(children))


def disjunction(children: list[Expr]) -> Expr:
    return Some(tuple(children))


def compose(children: Iterable[Expr], make: Callable[[list[Expr]], Expr]) -> Expr:
    """Join children by `conjunction` or `disjunction` in canonical order."""
    kind, absorbing = (All, False) if make is conjunction else (Some, True)
    unique: dict[str, Expr] = {}
    for child in children:
        parts = child.children if isinstance(child, kind) else (child,)
        for part in parts:
            if isinstance(part, Const):
                if part.value is absorbing:
                    return part
                continue
            unique[_key(part)] = part
    if not unique:
        return Const(not absorbing)
    if len(unique) == 1:
        return next(iter(unique.values()))
    return make([unique[key] for key in sorted(unique)])


def canonical(expr: Expr) -> list[object]:
    """Return the tree as JSON lists: the input of hashes and of ordering."""
    match expr:
        case Const(value):
            return ["const", value]
        case Not(child):
            return ["not", canonical(child)]
        case All(children):
            return ["and", *map(canonical, children)]
        case Some(children):
            return ["or", *map(canonical, children)]
        case AtLeast(leaf, n):
            return ["event", leaf.leaf_id, n]
        case Sequence(steps, absent, within_ms):
            after = None if absent is None else absent.leaf_id
            return ["sequence", [leaf.leaf_id for leaf in steps], after, within_ms]
        case Held(key=key, for_ms=for_ms):
            return ["held", key, for_ms]
        case Test(source, path, op, value):
            return ["test", source, list(path), op, literal(value)]


def digest(shape: object) -> str:
    """128 bits of SHA-256 over canonical JSON, in hex: changing the form re-registers rules."""
    text = dumps(shape, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return sha256(text.encode()).hexdigest()[:32]


def literal(value: object) -> object:
    """Return a literal as JSON in which 1 and true and a time never look alike."""
    if isinstance(value, tuple):
        return [literal(each) for each in value]
    return {"time_us": value.us} if isinstance(value, Time) else value


def _key(expr: Expr) -> str:
    return dumps(canonical(expr), ensure_ascii=True, separators=(",", ":"))
