"""Statistics out of the counts per edge. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping

from services.orchestrator.journeys.model import Flow, JourneyStats, NodeStats
from services.orchestrator.journeys.position import ENTRY, EXIT, MOVED, REFUSED


def summarise(
    flows: Iterable[Flow],
    waiting: Mapping[str, int],
    messages: Iterable[tuple[str, str, str | None, int]],
) -> JourneyStats:
    """``messages``: (node, state, reason, count)."""
    flows = list(flows)
    entered: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    exited: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    outcomes: dict[str, Counter[str]] = {}
    refused: Counter[str] = Counter()
    for flow in flows:
        if flow.target == REFUSED:
            refused[flow.outcome] += flow.count
            continue
        if flow.target == EXIT:
            exited[flow.source] += flow.count
            reasons[flow.outcome] += flow.count
        else:
            entered[flow.target] += flow.count
            passed[flow.source] += flow.count
        outcomes.setdefault(flow.source, Counter())[flow.outcome] += flow.count
    sent: dict[str, dict[str, int]] = {}
    for node, state, reason, count in messages:
        sent.setdefault(node, {})[f"{state}:{reason}" if reason else state] = count
    names = sorted((entered.keys() | outcomes.keys() | waiting.keys()) - {ENTRY, MOVED})
    return JourneyStats(
        entered=passed[ENTRY],
        moved_in=passed[MOVED],
        moved_out=entered[MOVED],
        waiting=sum(waiting.values()),
        exited=sum(exited.values()),
        exits=dict(reasons),
        refused=dict(refused),
        nodes={
            name: NodeStats(
                entered=entered[name],
                waiting=waiting.get(name, 0),
                passed=passed[name],
                exited=exited[name],
                outcomes=dict(outcomes.get(name, {})),
                messages=sent.get(name, {}),
            )
            for name in names
        },
        flows=flows,
    )
