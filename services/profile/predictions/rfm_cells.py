"""The named cells of the RFM matrix, in English and Chinese."""

from typing import NamedTuple


class Cell(NamedTuple):
    key: str
    en: str
    zh: str


CHAMPIONS = Cell("champions", "Champions", "冠军客户")
LOYAL = Cell("loyal", "Loyal customers", "忠诚客户")
POTENTIAL = Cell("potential_loyalists", "Potential loyalists", "潜在忠诚客户")
NEW = Cell("new_customers", "New customers", "新客户")
PROMISING = Cell("promising", "Promising", "有希望的客户")
ATTENTION = Cell("need_attention", "Need attention", "需要关注")
SLEEPY = Cell("about_to_sleep", "About to sleep", "即将沉睡")
AT_RISK = Cell("at_risk", "At risk", "有流失风险")
CANNOT_LOSE = Cell("cannot_lose", "Cannot lose them", "不能失去")
HIBERNATING = Cell("hibernating", "Hibernating", "沉睡客户")

MATRIX = (
    (HIBERNATING, HIBERNATING, AT_RISK, AT_RISK, CANNOT_LOSE),
    (HIBERNATING, HIBERNATING, AT_RISK, AT_RISK, CANNOT_LOSE),
    (SLEEPY, SLEEPY, ATTENTION, LOYAL, LOYAL),
    (PROMISING, POTENTIAL, POTENTIAL, LOYAL, LOYAL),
    (NEW, POTENTIAL, POTENTIAL, CHAMPIONS, CHAMPIONS),
)
"""By recency score (rows, 1 to 5) and frequency score (columns, 1 to 5)."""
