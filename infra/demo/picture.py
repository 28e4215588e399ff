"""A funnel as a picture: one bar per step, drawn as SVG without any library."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _BAR, _GAP, _LEFT, _TOP = 720, 34, 22, 190, 56


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    people: int


def funnel(title: str, steps: list[Step]) -> str:
    """Bars in proportion to the first step's people, with the share of the step before."""
    base = max((step.people for step in steps), default=0) or 1
    height = _TOP + len(steps) * (_BAR + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="20" y="32" font-size="18" font-weight="600" fill="#1b2733">'
        f"{escape(title)}</text>",
    ]
    for index, step in enumerate(steps):
        y = _TOP + index * (_BAR + _GAP)
        width = max(round((_WIDTH - _LEFT - 150) * step.people / base), 1)
        before = steps[index - 1].people if index else 0
        share = f" · {step.people / before:.1%}" if before else ""
        middle = y + _BAR / 2 + 5
        parts += [
            f'<text x="20" y="{middle}" font-size="14" fill="#1b2733">{escape(step.name)}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{width}" height="{_BAR}" rx="4" fill="#2f6f8f"/>',
            f'<text x="{_LEFT + width + 10}" y="{middle}" font-size="14" fill="#1b2733">'
            f"{step.people:,}{share}</text>",
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
