"""How many identifiers may come together: the limits of identity policies. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from services.contracts import identity as contract

_DAY_MS = 86_400_000


class Limit(NamedTuple):
    """``most`` within any ``window_ms`` of event time; None: for ever."""

    most: int
    window_ms: int | None

    def is_exceeded(self, times: Sequence[int], around: int | None = None) -> bool:
        """``times``: of the links, ms, in order. ``around``: only windows that hold this time
        matter, since a link is not to blame for what is crowded elsewhere."""
        if self.window_ms is None:
            return len(times) > self.most
        return any(
            last - first < self.window_ms and (around is None or first <= around <= last)
            for first, last in zip(times, times[self.most :], strict=False)
        )


Limits = Mapping[str, Limit]
"""By namespace; one that is not named has none."""


class Era(NamedTuple):
    """Limits in force from a place in the log on."""

    from_seq: int
    limits: Limits


def limits_of(namespaces: Sequence[contract.Namespace]) -> Limits:
    found = {}
    for namespace in namespaces:
        days = namespace.limit.window_days
        window_ms = None if days is None else days * _DAY_MS
        found[namespace.name] = Limit(namespace.limit.count, window_ms)
    return found


def at(eras: Sequence[Era], seq: int) -> Limits:
    """The limits in force at a place in the log. ``eras``: oldest first, the first from 0."""
    return next(era.limits for era in reversed(eras) if era.from_seq <= seq)


BUILT_IN: Final[Sequence[Era]] = (Era(0, limits_of(contract.BUILT_IN.namespaces)),)
