from fractions import Fraction

import pytest

from services.assessment.readiness.decide import Maturity, max_channels, missing, status
from services.contracts.assessment import ReadinessMode

GOOD = {"GOV6": Fraction(3), "MEA2": Fraction(3), "MEA3": Fraction(3), "TOO4": Fraction(2)}


def test_level_three_with_the_named_items_is_full() -> None:
    assert status(Maturity(3, 3, GOOD)) == "full"


@pytest.mark.parametrize(
    ("maturity", "codes"),
    [
        (None, ["not_assessed"]),
        (Maturity(2, 2, GOOD), ["level_below_3"]),
        (Maturity(2, 1, GOOD), ["level_below_3", "level_gated_below_3"]),
        (Maturity(4, 2, GOOD), ["level_gated_below_3"]),
        (Maturity(3, 3, GOOD | {"GOV6": Fraction("2.999")}), ["item_too_low"]),
        (Maturity(3, 3, {k: v for k, v in GOOD.items() if k != "TOO4"}), ["item_not_scored"]),
    ],
)
def test_everything_missing_is_named(maturity: Maturity | None, codes: list[str]) -> None:
    assert [reason.code for reason in missing(maturity)] == codes
    assert all(reason.en and reason.zh for reason in missing(maturity))


def test_a_score_just_below_is_not_shown_as_reached() -> None:
    low = missing(Maturity(3, 3, GOOD | {"GOV6": Fraction("2.999")}))[0]
    assert low.en == "Item GOV6 scores 2.99; it must reach 3."


@pytest.mark.parametrize(
    ("maturity", "off", "warn", "enforce"),
    [
        (None, None, 2, 2),
        (Maturity(2, 2, GOOD), None, 2, 2),
        (Maturity(4, 2, GOOD), None, None, 2),
        (Maturity(3, 3, {}), None, None, 2),
        (Maturity(3, 3, GOOD), None, None, None),
    ],
)
def test_warnings_follow_the_level_and_refusals_everything(
    maturity: Maturity | None, off: int | None, warn: int | None, enforce: int | None
) -> None:
    modes: list[ReadinessMode] = ["off", "warn", "enforce"]
    assert [max_channels(maturity, mode) for mode in modes] == [off, warn, enforce]
