"""Event nodes of the rule language as ClickHouse conditions of analytics queries. Pure."""

from typing import Any

from services.contracts.rules import EventNode
from services.kit.problems import InvalidRequest
from services.rules import RuleInvalid
from services.rules.compile_clickhouse import filter_condition
from services.rules.normalise import normalise_where


class Binds:
    """Collects the parameters of one query under names of its own making."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._prefixes = 0

    def add(self, value: Any, kind: str) -> str:
        """The placeholder ``{v1:Type}`` of a value."""
        name = f"v{len(self.params) + 1}"
        self.params[name] = value
        return f"{{{name}:{kind}}}"

    def prefix(self) -> str:
        """A prefix for the parameters of one compiled filter: ``f_aa_``, ``f_ab_`` …"""
        high, low = divmod(self._prefixes, 26)
        self._prefixes += 1
        return f"f_{chr(97 + high % 26)}{chr(97 + low)}{'_' * (1 + high // 26)}"


def event_condition(node: EventNode, pointer: str, binds: Binds) -> str:
    """The condition of the rows that are this event.

    Analytics asks about single events, so ``did``, ``count`` and ``window`` of the node have no
    meaning here and are refused, as is a filter that means nothing (``InvalidRequest`` at the
    field).
    """
    for name, accepted in (("did", True), ("count", None), ("window", None)):
        if getattr(node, name) != accepted:
            raise InvalidRequest.at(
                f"{pointer}/{name}", f"{name} is not accepted here; leave it out."
            )
    try:
        where = normalise_where(node.where, f"{pointer}/where")
    except RuleInvalid as error:
        raise InvalidRequest.at(error.pointer, error.detail) from error
    compiled = filter_condition(where, prefix=binds.prefix())
    binds.params |= compiled.params
    return f"(event = {binds.add(node.event, 'String')} AND ({compiled.sql}))"
