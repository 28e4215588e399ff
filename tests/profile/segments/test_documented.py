"""The conditions that ``docs/segments.md`` shows are rules."""

import re
from pathlib import Path

import pytest

from services.contracts.rules import Group
from services.rules import normalise

TEXT = (Path(__file__).parents[3] / "docs/segments.md").read_text("utf-8")
TABLE = TEXT.split("| condition | example |")[1].split("\n\n")[0]
SHOWN = re.findall(r"\| `(\{.*\})` \|$", TABLE, re.MULTILINE)


def test_every_row_shows_a_condition() -> None:
    assert len(SHOWN) == len(TABLE.strip().splitlines()) - 1


@pytest.mark.parametrize("condition", SHOWN)
def test_a_condition_of_the_documentation_is_a_rule(condition: str) -> None:
    rule = Group.model_validate_json(f'{{"rules": [{condition}]}}')
    normalise(rule.model_dump(mode="json", by_alias=True, exclude_none=True))
