"""The built-in questionnaires, read once from the YAML files beside the service."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from services.assessment.questionnaires.model import Questionnaire

DEFAULT_ID = "journey-maturity"
CONTENT = files("services.assessment") / "content"


@cache
def built_in() -> dict[str, Questionnaire]:
    """Every built-in questionnaire by id; a broken file stops the service at start."""
    found = (read(folder) for folder in CONTENT.iterdir() if folder.is_dir())
    return {questionnaire.id: questionnaire for questionnaire in found}


def read(folder: Traversable) -> Questionnaire:
    """One instrument from `frame.yaml`, `indicators.yaml` and `items/<dimension>.yaml`.

    Raises pydantic.ValidationError where a part is missing or does not fit the others.
    """
    frame = _yaml(folder / "frame.yaml")
    items = [
        item
        for dimension in frame["dimensions"]
        for item in _yaml(folder / "items" / f"{dimension['id']}.yaml")["items"]
    ]
    return parse(frame | {"items": items} | _yaml(folder / "indicators.yaml"))


def parse(raw: dict[str, Any]) -> Questionnaire:
    """The wire form of an instrument written in the flat YAML form (`text_en`, `text_zh`, …)."""
    return Questionnaire.model_validate(
        {
            "id": raw["id"],
            "version": raw["instrument_version"],
            "name": raw["name"],
            "instructions": raw["instructions"],
            "excluded_answers": [_choice(answer) for answer in raw["extra_answers"]],
            "respondent_groups": [_choice(group) for group in raw["respondent_groups"]],
            "dimensions": [_labelled(dimension) for dimension in raw["dimensions"]],
            "levels": [_labelled(level) for level in raw["levels"]],
            "min_answered_weight": raw["scoring"]["min_answered_weight"],
            "items": [_item(item) for item in raw["items"]],
            "indicators": [_labelled(indicator) for indicator in raw["evidence_indicators"]],
        }
    )


def _choice(raw: dict[str, Any]) -> dict[str, Any]:
    return {"id": raw["id"], "label": {"en": raw["en"], "zh": raw["zh"]}}


def _labelled(raw: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in raw.items() if key not in ("en", "zh")}
    return rest | {"label": {"en": raw["en"], "zh": raw["zh"]}}


def _item(raw: dict[str, Any]) -> dict[str, Any]:
    flat = {"text_en", "text_zh", "anchors_en", "anchors_zh"}
    anchors = zip(raw["anchors_en"], raw["anchors_zh"], strict=True)
    return {key: value for key, value in raw.items() if key not in flat} | {
        "text": {"en": raw["text_en"], "zh": raw["text_zh"]},
        "anchors": [{"en": en, "zh": zh} for en, zh in anchors],
    }


def _yaml(file: Traversable) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))
