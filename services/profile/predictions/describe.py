"""What sets a cluster apart, as numbers and as sentences in English and Chinese. Pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.profile.predictions.features import Feature

Mask = npt.NDArray[np.bool_]

MOST = 6
MIN_Z = 0.3
"""Standard deviations by which a mean must differ from that of the others to be told."""
MIN_SHARE = 0.1
"""Difference of shares that is told."""

LABELS: dict[str, tuple[str, str]] = {
    "purchases": ("purchases", "购买次数"),
    "spend": ("total spend", "消费总额"),
    "mean_value": ("value per purchase", "客单价"),
    "days_since_purchase": ("days since the last purchase", "距上次购买天数"),
    "share_night": ("share of activity at night", "夜间活跃占比"),
    "share_morning": ("share of activity in the morning", "上午活跃占比"),
    "share_afternoon": ("share of activity in the afternoon", "下午活跃占比"),
    "share_evening": ("share of activity in the evening", "晚间活跃占比"),
    "share_weekend": ("share of activity at weekends", "周末活跃占比"),
}
"""Of behaviour and preferences; a trait is called by its own name."""


@dataclass(frozen=True, slots=True)
class Difference:
    """``inside``, ``outside``: means (shares for a category) in the cluster and among the others.

    ``z``: their difference in standard deviations of everybody; ``lift``: their ratio, for shares.
    """

    feature: Feature
    inside: float
    outside: float
    z: float

    @property
    def lift(self) -> float | None:
        if not self.feature.is_category or self.outside == 0:
            return None
        return self.inside / self.outside


def differences(features: list[Feature], inside: Mask) -> list[Difference]:
    """The largest first."""
    found = []
    for feature in features:
        values = feature.values
        within, without = values[inside], values[~inside]
        if np.isnan(within).all() or np.isnan(without).all():
            continue
        mean, other = float(np.nanmean(within)), float(np.nanmean(without))
        deviation = float(np.nanstd(values))
        z = (mean - other) / deviation if deviation else 0.0
        told = abs(mean - other) >= MIN_SHARE if feature.is_category else abs(z) >= MIN_Z
        if told:
            found.append(Difference(feature, mean, other, z))
    return sorted(found, key=lambda d: -abs(d.z))[:MOST]


def title(found: list[Difference]) -> tuple[str, str]:
    """A name of the cluster in English and Chinese by its two largest differences."""
    if not found:
        return "Like everybody", "与总体相近"
    parts = [_short(each) for each in found[:2]]
    english = ", ".join(en for en, _ in parts)
    return english[0].upper() + english[1:], "、".join(zh for _, zh in parts)


def sentence(found: Difference) -> tuple[str, str]:
    """English and Chinese, with the numbers of the cluster and of the others."""
    en, zh = _label(found.feature)
    inside, outside = _number(found, found.inside), _number(found, found.outside)
    if found.feature.is_category:
        return f"{inside} have {en} (others {outside}).", f"{inside} 的人{zh}（其他人 {outside}）。"
    higher = found.inside > found.outside
    return (
        f"{en[0].upper()}{en[1:]} is {'higher' if higher else 'lower'}: {inside} on average "
        f"(others {outside}).",
        f"{zh}{'较高' if higher else '较低'}：平均 {inside}（其他人 {outside}）。",
    )


def as_json(found: Difference) -> dict[str, Any]:
    en, zh = sentence(found)
    feature = found.feature
    return {
        "source": feature.source,
        "feature": feature.key,
        "value": feature.category,
        "inside": round(found.inside, 4),
        "outside": round(found.outside, 4),
        "z": round(found.z, 2),
        "lift": None if found.lift is None else round(found.lift, 2),
        "text": {"en": en, "zh": zh},
    }


def _label(feature: Feature) -> tuple[str, str]:
    en, zh = LABELS.get(feature.key, (feature.key, feature.key))
    if feature.source == "trait":
        en = zh = feature.key
    if feature.is_category:
        value = (
            str(feature.category).lower() if feature.category in (True, False) else feature.category
        )
        return f"{en} = {value}", f"的 {zh} 为 {value}"
    return en, zh


def _short(found: Difference) -> tuple[str, str]:
    en, zh = _label(found.feature)
    more = found.inside > found.outside
    if found.feature.is_category:
        return (
            f"mostly {en}" if more else f"seldom {en}"
        ), f"{'多数' if more else '少数'} {zh[2:]}"
    return f"{'high' if more else 'low'} {en}", f"{zh}{'高' if more else '低'}"


def _number(found: Difference, value: float) -> str:
    if found.feature.is_category or found.feature.key.startswith("share_"):
        return f"{value:.0%}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
