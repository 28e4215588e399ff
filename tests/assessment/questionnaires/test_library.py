"""The built-in instrument is whole, and a broken one is refused with the part that is wrong."""

import re
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from services.assessment.questionnaires.library import CONTENT, DEFAULT_ID, built_in, parse
from services.assessment.questionnaires.model import Questionnaire


@pytest.fixture
def raw() -> dict[str, Any]:
    """The built-in instrument in the flat form of the files."""
    folder = CONTENT / "journey_maturity"
    frame = yaml.safe_load((folder / "frame.yaml").read_text(encoding="utf-8"))
    frame["items"] = [
        item
        for file in sorted((folder / "items").iterdir(), key=lambda file: file.name)
        for item in yaml.safe_load(file.read_text(encoding="utf-8"))["items"]
    ]
    indicators = (folder / "indicators.yaml").read_text(encoding="utf-8")
    return {**frame, **yaml.safe_load(indicators)}


def test_the_built_in_instrument_is_complete() -> None:
    questionnaire = built_in()[DEFAULT_ID]
    assert len(questionnaire.dimensions) == 6
    assert len(questionnaire.items) == 33
    assert len(questionnaire.indicators) == 40
    assert {item.id for item in questionnaire.items if item.critical} == {
        *("CUL1", "ORG1", "GOV2", "GOV5", "PRO3", "MEA1", "MEA2", "TOO1")
    }
    sizes = [
        sum(item.dimension == dimension.id for item in questionnaire.items)
        for dimension in questionnaire.dimensions
    ]
    assert sizes == [5, 5, 6, 6, 6, 5]


def test_every_text_has_chinese_characters_in_its_chinese_form() -> None:
    for item in built_in()[DEFAULT_ID].items:
        for text in (item.text, *item.anchors):
            assert re.search(r"[\u4e00-\u9fff]", text.zh), (item.id, text.zh)
            assert not re.search(r"[\u4e00-\u9fff]", text.en), (item.id, text.en)


def test_the_wire_form_is_read_back_unchanged() -> None:
    questionnaire = built_in()[DEFAULT_ID]
    assert Questionnaire.model_validate_json(questionnaire.model_dump_json()) == questionnaire


def test_a_missing_anchor_is_refused(raw: dict[str, Any]) -> None:
    for key in ("anchors_en", "anchors_zh"):
        raw["items"][3][key].pop()
    with pytest.raises(ValidationError, match=r"items\.3\.anchors"):
        parse(raw)


def test_a_missing_translation_of_an_anchor_is_refused(raw: dict[str, Any]) -> None:
    raw["items"][3]["anchors_zh"].pop()
    with pytest.raises(ValueError, match="shorter"):
        parse(raw)


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("items", "id", "CUL2", "item CUL2 is defined more than once"),
        ("items", "dimension", "magic", "item CUL1: no dimension magic"),
        ("items", "weight", 0, "greater than 0"),
        ("items", "evidence", {"mode": "auto", "indicators": ["none"]}, "no indicator none"),
        ("items", "typo", 1, "Extra inputs"),
        ("levels", "min", 1.5, "levels must be 1 to 5"),
        ("evidence_indicators", "points", [0, 0, 1, 2, 3], "strictly rise or strictly fall"),
    ],
)
def test_a_part_that_does_not_fit_is_named(
    raw: dict[str, Any], part: str, key: str, value: object, message: str
) -> None:
    raw[part][0][key] = value
    with pytest.raises(ValidationError, match=message):
        parse(raw)
