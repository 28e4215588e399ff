"""The built-in map templates: the project's own bilingual content, read once."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from services.orchestrator.maps.model import (
    Item,
    Kpi,
    MapDocument,
    Stage,
    TemplateSummary,
    Text,
    Touchpoint,
)


@cache
def _models() -> dict[str, dict[str, Any]]:
    text = files(__package__).joinpath("content", "templates.yaml").read_text("utf-8")
    return {model["id"]: model for model in yaml.safe_load(text)["stage_models"]}


def summaries() -> list[TemplateSummary]:
    return [
        TemplateSummary(
            id=model["id"],
            name=Text(**model["name"]),
            stages=[Text(**stage["name"]) for stage in model["stages"]],
        )
        for model in _models().values()
    ]


def document(template_id: str) -> MapDocument | None:
    """A fresh map of the template; None when there is no such template."""
    model = _models().get(template_id)
    if model is None:
        return None
    return MapDocument(name=Text(**model["name"]), stages=[_stage(s) for s in model["stages"]])


def _stage(stage: dict[str, Any]) -> Stage:
    goal = stage.get("company_goal")
    return Stage(
        id=stage["id"],
        name=Text(**stage["name"]),
        company_goal=Text(**goal) if goal else None,
        behaviours=[Item(id=b["id"], text=_text(b)) for b in stage.get("behaviours", ())],
        touchpoints=[
            Touchpoint(id=t["id"], text=_text(t), channel=t.get("channel", ""))
            for t in stage.get("touchpoints", ())
        ],
        kpis=[
            Kpi(id=k["id"], text=_text(k), metric=k.get("metric")) for k in stage.get("kpis", ())
        ],
        insights=[Item(id=q["id"], text=_text(q)) for q in stage.get("insight_questions", ())],
    )


def _text(item: dict[str, Any]) -> Text:
    return Text(en=item["en"], zh=item["zh"])
