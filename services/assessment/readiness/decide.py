"""Is the organization ready to orchestrate over many channels, and if not, what is missing?"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from services.contracts.assessment import ReadinessMode, ReadinessReason, ReadinessStatus

PILOT_CHANNELS = 2
NEEDED_LEVEL = 3
NEEDED_ITEMS = {"GOV6": 3, "MEA2": 3, "MEA3": 3, "TOO4": 2}


@dataclass(frozen=True)
class Maturity:
    """What readiness looks at: the levels and the item scores (1..5) of one assessment."""

    level: int
    level_gated: int
    items: Mapping[str, Fraction]


def missing(maturity: Maturity | None) -> list[ReadinessReason]:
    """Everything full readiness still needs, most important first; empty when ready."""
    if maturity is None:
        return [
            ReadinessReason(
                code="not_assessed",
                en="No assessment yields a maturity level yet; full orchestration needs level 3.",
                zh="尚无评估得出成熟度级别;全面编排需要达到 3 级。",
            )
        ]
    reasons = []
    if maturity.level < NEEDED_LEVEL:
        reasons.append(_level_too_low(maturity.level))
    if maturity.level_gated < min(NEEDED_LEVEL, maturity.level):
        reasons.append(_gated_too_low(maturity.level_gated))
    for item, needed in NEEDED_ITEMS.items():
        score = maturity.items.get(item)
        if score is None or score < needed:
            reasons.append(_item_too_low(item, score, needed))
    return reasons


def status(maturity: Maturity | None) -> ReadinessStatus:
    if maturity is None:
        return "unknown"
    return "pilot" if missing(maturity) else "full"


def max_channels(maturity: Maturity | None, mode: ReadinessMode) -> int | None:
    """How many distinct channels a journey may use before ``mode`` acts; None = no limit.

    `warn` follows the level alone, since level 3 is the time for full investment; `enforce` asks
    for everything. Without a level nothing says the time has come, so both act.
    """
    limited = {
        "off": False,
        "warn": maturity is None or maturity.level < NEEDED_LEVEL,
        "enforce": status(maturity) != "full",
    }
    return PILOT_CHANNELS if limited[mode] else None


def _level_too_low(level: int) -> ReadinessReason:
    return ReadinessReason(
        code="level_below_3",
        score=level,
        needed=NEEDED_LEVEL,
        en=f"The maturity level is {level}, and full orchestration needs level {NEEDED_LEVEL}.",
        zh=f"当前成熟度为 {level} 级,全面编排需要达到 {NEEDED_LEVEL} 级。",
    )


def _gated_too_low(level_gated: int) -> ReadinessReason:
    return ReadinessReason(
        code="level_gated_below_3",
        score=level_gated,
        needed=NEEDED_LEVEL,
        en=f"Weak spots lower the level that can be relied on to {level_gated}; "
        f"it must be {NEEDED_LEVEL}.",
        zh=f"薄弱环节使可依赖的级别降为 {level_gated} 级,需要达到 {NEEDED_LEVEL} 级。",
    )


def _item_too_low(item: str, score: Fraction | None, needed: int) -> ReadinessReason:
    if score is None:
        return ReadinessReason(
            code="item_not_scored",
            item_id=item,
            needed=needed,
            en=f"Item {item} has no scored answer; it must reach {needed}.",
            zh=f"题目 {item} 尚无计分回答,需要达到 {needed} 分。",
        )
    shown = floor(score * 100) / 100  # rounded up, 2.996 would read as the 3 it misses
    return ReadinessReason(
        code="item_too_low",
        item_id=item,
        score=float(score),
        needed=needed,
        en=f"Item {item} scores {shown:.2f}; it must reach {needed}.",
        zh=f"题目 {item} 得分 {shown:.2f},需要达到 {needed} 分。",
    )
