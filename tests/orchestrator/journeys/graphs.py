"""Small graphs and events for tests of the pure parts."""

from typing import Any
from uuid import UUID

from services.orchestrator.journeys.compiled import Compiled, Happening, compile_graph
from services.orchestrator.journeys.graph import Graph

VERSION = UUID(int=1)
PERSON = UUID(int=2)
CHANNEL = "00000000-0000-0000-0000-000000000003"
TEMPLATE = "00000000-0000-0000-0000-000000000004"
SECOND = 1_000


def graph(*nodes: dict[str, Any], entry: dict[str, Any] | None = None, **more: Any) -> Graph:
    """Entered on `Viewed`, the first node first."""
    first = {"kind": "event", "event": "Viewed", "next": nodes[0]["id"]}
    return Graph.model_validate(
        {"name": "Test", "entry": {**first, **(entry or {})}, "nodes": list(nodes), **more}
    )


def compiled(*nodes: dict[str, Any], **more: Any) -> Compiled:
    return compile_graph(VERSION, graph(*nodes, **more))


def delay(seconds: int, to: str, id: str = "delay") -> dict[str, Any]:
    return {"id": id, "type": "delay", "seconds": seconds, "next": to}


def wait(
    seconds: int, event: str = "Done", id: str = "wait", on_event: str = "yes", **more: Any
) -> dict[str, Any]:
    return {
        "id": id,
        "type": "wait",
        "branches": [{"event": event, "next": on_event, **more}],
        "timeout_seconds": seconds,
        "on_timeout": "no",
    }


def email(to: str, id: str = "mail") -> dict[str, Any]:
    return {
        "id": id,
        "type": "message",
        "channel_id": CHANNEL,
        "template_id": TEMPLATE,
        "next": to,
    }


def branch(otherwise: str, *cases: str, id: str = "branch") -> dict[str, Any]:
    rule = {"rules": [{"field": "traits.plan", "operator": "=", "value": "pro"}]}
    return {
        "id": id,
        "type": "branch",
        "branches": [{"rule": rule, "next": case} for case in cases],
        "otherwise": otherwise,
    }


def leave(id: str) -> dict[str, Any]:
    return {"id": id, "type": "exit", "reason": id}


_serial = iter(range(10**9))


def happened(event: str, at: int, person: UUID = PERSON, **properties: Any) -> Happening:
    return Happening(person, event, f"m{next(_serial)}", at, properties)
