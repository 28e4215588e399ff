"""Event and sequence nodes: which leaves they count, and what is asked of them."""

from services.contracts import rules as wire
from services.rules.canonical import canonical, compose, conjunction, digest, negate
from services.rules.errors import RuleInvalid
from services.rules.groups import where
from services.rules.instants import to_us
from services.rules.leaves import KEEP
from services.rules.model import AtLeast, Const, Expr, Leaf, Sequence

Bounds = tuple[int | None, int | None, int | None]
"""A window: `last_ms`, `after_ms`, `before_ms` of a leaf."""

_END_MS = 7_258_118_400_000
"""2200-01-01T00:00:00Z."""


def event(node: wire.EventNode, pointer: str) -> Expr:
    filters = _filters(node, pointer)
    window = _window(node.window, f"{pointer}/window")

    def at_least(n: int) -> Expr:
        if n <= 0:
            return Const(True)
        if filters == Const(False):
            return Const(False)
        keep = 0
        if window[0] is not None:
            keep = next((size for size in (1, 8, KEEP) if n <= size), 0)
        return AtLeast(_leaf(node.event, filters, window, keep), n)

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


def sequence(node: wire.SequenceNode, pointer: str) -> Expr:
    window = _window(node.window, f"{pointer}/window")
    within_ms = None if node.within is None else length_ms(node.within, f"{pointer}/within")
    steps = [(s, _filters(s, f"{pointer}/sequence/{i}")) for i, s in enumerate(node.sequence)]
    absent = None
    if not node.sequence[-1].did:
        step, filters = steps.pop()
        if filters == Const(False):
            at = f"{pointer}/sequence/{len(steps)}/where"
            raise RuleInvalid(at, "a filter that some event can pass is accepted")
        absent = _leaf(step.event, filters, _beyond(window, within_ms, pointer), KEEP)
    for i, (step, _) in enumerate(steps):
        if not step.did:
            at = f"{pointer}/sequence/{i}/did"
            raise RuleInvalid(at, "false is accepted on the last step only")
    if any(filters == Const(False) for _, filters in steps):
        holds: Expr = Const(False)
    else:
        leaves = tuple(_leaf(step.event, filters, window, KEEP) for step, filters in steps)
        holds = Sequence(leaves, absent, within_ms)
    return holds if node.did else negate(holds)


def length_ms(duration: wire.Duration, pointer: str) -> int:
    if (duration.seconds is None) == (duration.days is None):
        raise RuleInvalid(pointer, "either seconds or days is accepted")
    return 1000 * (duration.seconds or 86_400 * (duration.days or 0))


def _beyond(window: Bounds, within_ms: int | None, pointer: str) -> Bounds:
    """The window in which a step is looked for that must not follow one in `window`."""
    last_ms, after_ms, before_ms = window
    if last_ms is not None and within_ms is not None and within_ms >= last_ms:
        raise RuleInvalid(f"{pointer}/within", "a time shorter than the window is accepted")
    if before_ms is None or within_ms is None:
        return last_ms, after_ms, None
    if before_ms + within_ms >= _END_MS:
        raise RuleInvalid(f"{pointer}/window/before", "a time that is over by 2199 is accepted")
    return None, after_ms, before_ms + within_ms


def _filters(node: wire.EventNode | wire.SequenceStep, pointer: str) -> Expr:
    if "\0" in node.event:
        raise RuleInvalid(f"{pointer}/event", "an event name without a NUL character is accepted")
    return Const(True) if node.where is None else where(node.where, f"{pointer}/where")


def _window(window: wire.Window | None, pointer: str) -> Bounds:
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


def _leaf(event: str, filters: Expr, window: Bounds, keep: int) -> Leaf:
    shape = ["leaf", event, canonical(filters), *window, keep]
    return Leaf(digest(shape), event, filters, *window, keep)
