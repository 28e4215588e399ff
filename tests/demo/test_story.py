"""What the demo brings along fits together: mappings, journey, generated files, summary."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

import pytest

from cli.compile import compile_mapping
from cli.lookups import load_lookups
from cli.mapping import load_mapping
from infra.demo import story
from infra.demo.check import Expected
from infra.demo.generator import generate
from infra.demo.picture import Step, funnel
from infra.demo.story import Imported, Replayed
from infra.demo.summary import Summary
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.validate import findings

DEMO = Path(story.__file__).parent


def mapped(folder: Path, mapping: str, file: str) -> list[dict[str, Any]]:
    path = DEMO / "mappings" / f"{mapping}.yaml"
    parsed = load_mapping(path)
    to_event = compile_mapping(parsed, load_lookups(parsed, path, folder / file), b"digest")
    with gzip.open(folder / file, "rt") as stream:
        rows = [json.loads(row) for row in stream]
    return [json.loads(to_event(line, row)) for line, row in enumerate(rows, 1)]


def test_every_generated_profile_maps_to_an_identify_with_address_and_consent(
    tmp_path: Path,
) -> None:
    generate(tmp_path, people=50)
    events = mapped(tmp_path, "profiles", "profile.json.gz")
    assert len(events) == 50
    for event in events:
        assert event["type"] == "identify"
        assert event["traits"]["email"] == f"{event['userId']}@example.invalid"
        assert event["context"]["consent"]["categoryPreferences"] == {"marketing": True}
        assert len(event["traits"]["became_member_on"]) == len("2017-01-01")
    unknown = [event for event in events if "age" not in event["traits"]]
    assert unknown
    assert all("income" not in event["traits"] for event in unknown)
    assert all(event["traits"].get("age", 0) < 118 for event in events)


def test_every_generated_line_maps_to_an_event_the_journey_understands(tmp_path: Path) -> None:
    generate(tmp_path, people=50)
    events = mapped(tmp_path, "transcript", "transcript.json.gz")
    names = Counter(event["event"] for event in events)
    assert set(names) == {"Offer Received", "Offer Viewed", "Offer Completed", "Transaction"}
    for event in events:
        properties = event["properties"]
        if event["event"] == "Transaction":
            assert properties.keys() == {"amount"}
        else:
            # One spelling, and what the portfolio knows about the offer.
            assert properties.keys() >= {"offer_id", "offer_type", "difficulty", "duration"}
            assert "offer id" not in properties
    assert max(event["timestamp"] for event in events) <= "2018-01-30T18:00:00.000Z"


def test_the_journey_can_be_published() -> None:
    graph = json.loads((DEMO / "journey.json").read_text())
    [mail] = [node for node in graph["nodes"] if node["type"] == "message"]
    mail["channel_id"] = mail["template_id"] = str(UUID(int=1))
    assert findings(Graph.model_validate(graph)) == []


CHECK = Expected(
    profiles=2,
    received=5,
    viewed=4,
    completed=3,
    transactions=6,
    amount="12.50",
    entered=4,
    reminded=3,
    completed_first=1,
    entered_people=2,
    reminded_people=2,
)


REPLAYED = Replayed(
    entered=4, reminded=3, completed_first=1, people=2, messages={"accepted": 3}, seconds=1.0
)


def summary() -> Summary:
    numbers = story.wanted(CHECK)
    return Summary(
        check=CHECK,
        first=Imported(20, 0, 1.0),
        again=Imported(20, 0, 1.0),
        visible_seconds=0.5,
        counts=dict(numbers),
        counts_again=dict(numbers),
        journey_id="j",
        journey=REPLAYED,
        sink_messages=3,
        sink_repeated=[],
        map_id="m",
        funnel=[{"name": "Offer Received", "people": 2}],
    )


def test_a_story_that_holds_has_no_differences() -> None:
    told = summary()
    assert told.differences() == []
    assert "Every number equals" in told.text()
    assert json.loads(json.dumps(told.document()))["differences"] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"counts": {"viewed": 5}}, "counts after the import: viewed is 5, the raw files say 4"),
        ({"counts_again": {"amount": "12.51"}}, "counts after importing again: amount is 12.51"),
        ({"journey": replace(REPLAYED, entered=5)}, "journey: entered is 5, the raw files say 4"),
        ({"journey": replace(REPLAYED, entered=5)}, "journey: 5 entered but 4 ended"),
        ({"sink_messages": 4}, "sink: 4 messages, not 3"),
        ({"sink_repeated": ["<1@x>"]}, "sink: 1 messages came more than once"),
        ({"again": Imported(19, 1, 1.0)}, "import: 1 lines were rejected"),
    ],
)
def test_every_kind_of_difference_is_told(change: dict[str, Any], said: str) -> None:
    told = summary()
    values = {
        key: getattr(told, key) | value if isinstance(value, dict) else value
        for key, value in change.items()
    }
    told = replace(told, **values)
    assert any(text.startswith(said) for text in told.differences())
    assert said in told.text()


def test_the_funnel_is_well_formed_and_tells_people_and_shares() -> None:
    picture = funnel("A & B", [Step("<seen>", 200), Step("done", 50), Step("none", 0)])
    root = ElementTree.fromstring(picture)  # noqa: S314 - our own text
    texts = ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("text")]
    assert texts == ["A & B", "<seen>", "200", "done", "50 · 25.0%", "none", "0 · 0.0%"]
    assert ElementTree.fromstring(funnel("empty", [])) is not None  # noqa: S314
