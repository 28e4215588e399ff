"""Which values fit a definition."""

from typing import Any

import pytest

from services.profile.traits.definition import TraitDefinitionPut, objection


@pytest.mark.parametrize(
    ("type", "fits", "others"),
    [
        ("string", ["", "x"], [1, True, [], {}]),
        ("number", [0, -1.5, 1e30], ["1", True, []]),
        ("boolean", [True, False], [0, 1, "true"]),
        ("time", ["2026-03-01T09:30:00Z", "2026-03-01"], ["soon", 1_700_000_000, "2026-13-01"]),
        ("list", [[], [1, "a"]], ["a", {"0": 1}]),
        (
            "money",
            [{"amount": 12.5, "currency": "EUR"}, {"amount": -1, "currency": "CNY"}],
            [
                12.5,
                {"amount": "12.5", "currency": "EUR"},
                {"amount": 12.5, "currency": "eur"},
                {"amount": 12.5, "currency": "XYZ"},
                {"amount": 12.5, "currency": ["EUR"]},
                {"amount": True, "currency": "EUR"},
                {"amount": 1, "currency": "EUR", "vat": 0.19},
                {"amount": 12.5},
            ],
        ),
        ("object", [{}, {"a": [1]}], [[], "{}"]),
    ],
)
def test_values_of_the_type_fit_and_others_do_not(
    type: Any, fits: list[Any], others: list[Any]
) -> None:
    definition = TraitDefinitionPut(type=type)
    assert [objection(definition, value) for value in fits] == [None] * len(fits)
    assert all("accepted" in str(objection(definition, value)) for value in others)
    assert objection(definition, None) is None


def test_a_length_holds_for_characters_and_items() -> None:
    text = TraitDefinitionPut(type="string", max_length=2)
    assert (objection(text, "价价"), objection(text, "abc")) == (
        None,
        "At most 2 characters are accepted.",
    )
    items = TraitDefinitionPut(type="list", max_length=1)
    assert objection(items, [1, 2]) == "At most 1 items are accepted."
