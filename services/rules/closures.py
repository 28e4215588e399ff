"""Boolean trees as closures of two arguments, whatever the two are."""

from collections.abc import Callable
from typing import TypeVar

from services.rules.model import All, Atom, Const, Expr, Not, Some

A = TypeVar("A")
B = TypeVar("B")


def build(expr: Expr, atom: Callable[[Atom], Callable[[A, B], bool]]) -> Callable[[A, B], bool]:
    """Return the tree as one function; `atom` compiles the nodes that have none below."""
    match expr:
        case Const(value):
            return lambda a, b: value
        case Not(child):
            inner = build(child, atom)
            return lambda a, b: not inner(a, b)
        case All(children):
            return _every(tuple(build(child, atom) for child in children))
        case Some(children):
            return _either(tuple(build(child, atom) for child in children))
    return atom(expr)


# Loops and not all(… for …): a generator per evaluation doubles the time.
def _every(parts: tuple[Callable[[A, B], bool], ...]) -> Callable[[A, B], bool]:
    def check(a: A, b: B) -> bool:
        for part in parts:  # noqa: SIM110 (see above)
            if not part(a, b):
                return False
        return True

    return check


def _either(parts: tuple[Callable[[A, B], bool], ...]) -> Callable[[A, B], bool]:
    def check(a: A, b: B) -> bool:
        for part in parts:  # noqa: SIM110 (see above)
            if part(a, b):
                return True
        return False

    return check
