"""An identity policy made ready to read identifiers by. Pure."""

from collections.abc import Iterable
from typing import Final

from services.contracts import identity as contract
from services.identifiers import values
from services.identifiers.patterns import matcher

Identifier = tuple[str, str]
"""(namespace, normalised value)."""

MAX_LENGTH = 255


class Policy:
    """Compared by identity, so that caches may have it in their keys."""

    def __init__(self, policy: contract.IdentityPolicy) -> None:
        """``ValueError`` at a pattern that cannot be run."""
        self.version = policy.version
        self.names = tuple(namespace.name for namespace in policy.namespaces)
        """By falling priority."""
        self._rank = {name: rank for rank, name in enumerate(self.names)}
        self._readers = {n.name: _Reader(n) for n in policy.namespaces}

    def normalise(self, namespace: str, raw: object, region: str | None = None) -> str | None:
        """The comparable form of an identifier; None where it identifies nobody or the policy has
        no such namespace. Numbers are accepted for ids, as SDKs send them. ``region``: of national
        phone numbers where the policy names none."""
        reader = self._readers.get(namespace)
        if reader is None or isinstance(raw, bool) or not isinstance(raw, str | int):
            return None
        return reader.read(str(raw).strip(), region)

    def by_priority(self, found: Iterable[Identifier]) -> list[Identifier]:
        """Each once, by falling priority; those of one namespace stay in their order."""
        return sorted(dict.fromkeys(found), key=lambda each: self._rank[each[0]])


class _Reader:
    def __init__(self, namespace: contract.Namespace) -> None:
        self._kind = namespace.kind
        self._region = namespace.region
        self._folds = namespace.fold_case
        self._blocked = frozenset(value.casefold() for value in namespace.blocked.values)
        self._patterns = matcher(namespace.blocked.patterns)

    def read(self, value: str, region: str | None) -> str | None:
        if not value or len(value) > MAX_LENGTH or "\x00" in value or self._blocks(value):
            return None
        if self._kind == "id":
            return value.lower() if self._folds else value
        is_email = self._kind == "email"
        normal = values.email(value) if is_email else values.phone(value, self._region or region)
        # What is blocked is written as people know it: `+8613800138000`, not `138 0013 8000`.
        return None if normal is None or self._blocks(normal) else normal

    def _blocks(self, value: str) -> bool:
        return value.casefold() in self._blocked or self._patterns.is_valid(value)


BUILT_IN: Final = Policy(contract.BUILT_IN)
"""Of every workspace that has not set its own."""
