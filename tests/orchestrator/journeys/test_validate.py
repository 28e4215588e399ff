"""What is wrong with a graph, by pointer."""

from typing import Any
from uuid import UUID

import pytest

from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.model import EXAMPLE_GRAPH
from services.orchestrator.journeys.validate import findings, missing
from tests.orchestrator.journeys.graphs import (
    CHANNEL,
    TEMPLATE,
    branch,
    delay,
    email,
    graph,
    leave,
    wait,
)

BAD_RULE = {"rules": [{"field": "nonsense", "operator": "=", "value": 1}]}
SEGMENT = {"kind": "segment", "segment_id": CHANNEL, "next": "wait"}


def test_the_documented_example_has_no_findings() -> None:
    assert findings(Graph.model_validate(EXAMPLE_GRAPH)) == []


@pytest.mark.parametrize(
    ("nodes", "entry", "pointers"),
    [
        ([delay(1, "gone")], {}, ["#/graph/nodes/0/next"]),
        ([leave("end")], {"next": "gone"}, ["#/graph/entry/next"]),
        ([leave("end"), leave("end")], {}, ["#/graph/nodes/1/id"]),
        (
            [wait(1, on_event="gone"), leave("no")],
            {},
            ["#/graph/nodes/0/branches/0/next"],
        ),
        ([branch("end", "gone"), leave("end")], {}, ["#/graph/nodes/0/branches/0/next"]),
        ([leave("end"), leave("island")], {}, ["#/graph/nodes/1"]),
        ([email("mail")], {}, ["#/graph/nodes/0"]),
        ([email("b", "a"), email("a", "b")], {}, ["#/graph/nodes/1"]),
        ([email("wait"), delay(1, "mail", "wait")], {}, []),
        ([wait(1, on_event="wait"), leave("no")], {}, []),
        ([leave("end")], {"where": BAD_RULE}, ["#/graph/entry/where/rules/0/field"]),
        (
            [wait(1, where=BAD_RULE), leave("yes"), leave("no")],
            {},
            ["#/graph/nodes/0/branches/0/where/rules/0/field"],
        ),
        ([leave("end")], {"instance_key": ["@anchor"]}, ["#/graph/entry/instance_key/0"]),
        (
            [leave("end")],
            {"unless": {"event": "Done", "match": ["a"]}},
            ["#/graph/entry/unless"],
        ),
        (
            [leave("end")],
            {
                "anchor": {"event": "Got", "match": ["a"]},
                "unless": {"event": "Done", "match": ["b"]},
            },
            ["#/graph/entry/unless/match"],
        ),
        (
            [leave("end")],
            {"entry_mode": "concurrent_by_key"},
            ["#/graph/entry/instance_key"],
        ),
    ],
)
def test_findings_point_at_what_is_wrong(
    nodes: list[dict[str, Any]], entry: dict[str, Any], pointers: list[str]
) -> None:
    assert [found.pointer for found in findings(graph(*nodes, entry=entry))] == pointers


def test_a_segment_entry_has_no_event_to_match_with() -> None:
    document = {
        "name": "S",
        "entry": SEGMENT,
        "nodes": [wait(1, match={"a": "a"}), leave("yes"), leave("no")],
    }
    found = findings(Graph.model_validate(document))
    assert [each.pointer for each in found] == ["#/graph/nodes/0/branches/0/match"]


def test_unknown_channels_and_templates_are_found() -> None:
    mail = graph(email("end"), leave("end"))
    channel, template = UUID(CHANNEL), UUID(TEMPLATE)
    assert missing(mail, {channel: "email"}, {template}, {}) == []
    assert [f.pointer for f in missing(mail, {channel: "webhook"}, {template}, {})] == [
        "#/graph/nodes/0/channel_id"
    ]
    assert [f.pointer for f in missing(mail, {}, set(), {})] == [
        "#/graph/nodes/0/channel_id",
        "#/graph/nodes/0/template_id",
    ]
