"""The pure half of maps: templates, overlay, picture."""

from datetime import UTC, datetime
from uuid import uuid4
from xml.etree import ElementTree

import pytest
from pydantic import ValidationError

from services.contracts.rules import EventNode
from services.contracts.tracking import Funnel, FunnelStepResult, SignalCount, SignalCounts
from services.orchestrator.maps import overlay, picture, templates
from services.orchestrator.maps.model import MapDocument, Overlay, Stage, Text, Touchpoint

SINCE, UNTIL = datetime(2018, 1, 1, tzinfo=UTC), datetime(2018, 2, 1, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def five_stages() -> MapDocument:
    document = templates.document("lifecycle5")
    assert document is not None
    return document


def overlay_of(
    document: MapDocument, people: dict[str, int], counts: dict[str, SignalCount]
) -> Overlay:
    steps = [
        FunnelStepResult(
            name=name, people=n, conversion_from_start=None, conversion_from_previous=None
        )
        for name, n in people.items()
    ]
    return overlay.overlay(
        uuid4(),
        1,
        document,
        SignalCounts(signals=counts),
        Funnel(steps=steps),
        since=SINCE,
        until=UNTIL,
        measured_at=UNTIL,
    )


def test_the_five_stage_template_holds_the_whole_toolkit() -> None:
    stages = five_stages().stages
    assert [s.id for s in stages] == [
        "awareness",
        "consideration",
        "purchase",
        "retention",
        "loyalty",
    ]
    assert sum(len(s.touchpoints) for s in stages) == 20
    assert sum(len(s.kpis) for s in stages) == 26
    assert sum(len(s.insights) for s in stages) == 25
    assert sum(len(s.behaviours) for s in stages) == 17


def test_every_template_makes_a_map_with_words_in_both_languages() -> None:
    for summary in templates.summaries():
        document = templates.document(summary.id)
        assert document is not None
        for stage in document.stages:
            assert stage.name.en
            assert stage.name.zh


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # reference values of the score interval, z = 1.96
        (960, 1200, 0.77643, 0.82166),
        (50, 100, 0.40383, 0.59617),
        (4, 4, 0.51010, 1.0),
        (0, 10, 0.0, 0.27754),
    ],
)
def test_wilson_interval(successes: int, n: int, low: float, high: float) -> None:
    interval = overlay.wilson(successes, n)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


def test_a_stage_without_a_bound_touchpoint_is_assumed_and_left_out_of_the_conversion() -> None:
    document = five_stages()
    document.stages[0].touchpoints[0].signal = EventNode(event="Seen")
    document.stages[2].touchpoints[0].signal = EventNode(event="Bought")
    assert [step.name for step in overlay.funnel_steps(document)] == ["awareness", "purchase"]
    numbers = overlay_of(
        document,
        {"awareness": 200, "purchase": 50},
        {
            document.stages[0].touchpoints[0].id: SignalCount(count=300, people=200),
            document.stages[2].touchpoints[0].id: SignalCount(count=60, people=55),
        },
    )
    by_stage = {s.stage_id: s for s in numbers.stages}
    assert by_stage["consideration"].grade == "assumed"
    assert by_stage["consideration"].people is None
    assert by_stage["awareness"].conversion is None
    assert by_stage["purchase"].conversion == 0.25
    assert by_stage["purchase"].n == 200
    interval = by_stage["purchase"].interval
    assert interval is not None
    assert interval.low < 0.25 < interval.high
    grades = [t.grade for t in numbers.touchpoints]
    assert (grades.count("observed"), grades.count("assumed")) == (2, 18)


def test_nobody_in_the_stage_before_gives_no_conversion() -> None:
    document = five_stages()
    document.stages[0].touchpoints[0].signal = EventNode(event="Seen")
    document.stages[1].touchpoints[0].signal = EventNode(event="Weighed")
    nothing = SignalCount(count=0, people=0)
    numbers = overlay_of(
        document,
        {"awareness": 0, "consideration": 0},
        {s.touchpoints[0].id: nothing for s in document.stages[:2]},
    )
    assert numbers.stages[1].conversion is None
    assert numbers.stages[1].people == 0


def test_the_picture_shows_every_stage_in_both_languages_and_the_live_numbers() -> None:
    document = five_stages()
    document.stages[0].touchpoints[1].signal = EventNode(event="Seen")
    shown = document.stages[0].touchpoints[1].id
    numbers = overlay_of(
        document, {"awareness": 16_994}, {shown: SignalCount(count=76_277, people=16_994)}
    )
    for locale, stage_name in (("en", "Awareness"), ("zh", "认知")):
        root = ElementTree.fromstring(picture.render(document, numbers, locale))  # type: ignore[arg-type]  # noqa: S314
        texts = [node.text or "" for node in root.iter(f"{SVG}text")]
        assert stage_name in texts
        assert any(text.startswith("76,277") and "16,994" in text for text in texts)


def test_a_stage_header_fits_its_column() -> None:
    document = five_stages()
    for stage in document.stages:
        stage.touchpoints[0].signal = EventNode(event="Seen")
    counts = {s.touchpoints[0].id: SignalCount(count=9, people=9) for s in document.stages}
    people = {s.id: 12_345_678 for s in document.stages}
    numbers = overlay_of(document, people, counts)
    root = ElementTree.fromstring(picture.render(document, numbers, "en"))  # noqa: S314
    shown = [node.text or "" for node in root.iter(f"{SVG}text") if "100.0%" in (node.text or "")]
    assert len(shown) == 4
    assert all(len(text) <= 30 for text in shown), shown


def test_markup_and_control_characters_in_a_map_cannot_break_the_picture() -> None:
    nasty = 'A <script>alert("x")</script> & \x08\uffff ' + "长" * 200 + " " + "w" * 200
    document = MapDocument(
        name=Text(en=nasty),
        stages=[
            Stage(
                id="a",
                name=Text(zh=nasty),
                touchpoints=[Touchpoint(id="t", text=Text(en=nasty))],
            )
        ],
    )
    root = ElementTree.fromstring(picture.render(document, None, "en"))  # noqa: S314
    assert root.find(f".//{SVG}script") is None
    drawn = "".join(node.text or "" for node in root.iter(f"{SVG}text"))
    assert drawn.count("长") >= 200


def test_ids_are_unique_within_a_map() -> None:
    with pytest.raises(ValidationError, match="stands twice"):
        MapDocument(
            name=Text(en="x"),
            stages=[Stage(id="a", name=Text(en="A")), Stage(id="a", name=Text(en="B"))],
        )


def test_no_line_of_a_picture_starts_with_closing_punctuation() -> None:
    for length in range(1, 60):
        text = "长" * length + "?" + "好" * 20 + "\u3002"
        stage = Stage(id="a", name=Text(zh="甲"), company_goal=Text(zh=text))
        svg = picture.render(MapDocument(name=Text(zh="乙"), stages=[stage]), None, "zh")
        lines = [n.text or "" for n in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314
        assert text in "".join(lines)
        assert not [line for line in lines if line.startswith(("?", "\u3002"))]
