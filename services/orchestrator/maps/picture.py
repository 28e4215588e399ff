"""A map as an SVG picture: stages side by side, lanes below each other, live numbers. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from unicodedata import east_asian_width
from xml.sax.saxutils import escape

from services.orchestrator.maps.model import (
    Locale,
    MapDocument,
    Overlay,
    Stage,
    StageNumbers,
    TouchpointNumbers,
)

_COLUMN, _GUTTER, _LABEL, _MARGIN = 260, 14, 120, 28
_LINE, _PAD, _FONT = 17, 12, 13
_TEXT_UNITS = 36
_CLOSING = frozenset(
    ",.;:!?)]}%"
    "\u3001\u3002\u300b\u300d\u300f\u3011\u2019\u201d"
    "\uff01\uff05\uff09\uff0c\uff0e\uff1a\uff1b\uff1f"
)
_BLUE, _INK, _SOFT, _PALE = "#1f4e8c", "#1d2733", "#64748b", "#f4f6fa"
_GREEN, _AMBER = "#0f7b53", "#b45309"

_WORDS: dict[str, dict[Locale, str]] = {
    "stage": {"en": "Stage", "zh": "阶段"},
    "goal": {"en": "Our goal", "zh": "企业目标"},
    "behaviours": {"en": "Behaviours", "zh": "客户行为"},
    "touchpoints": {"en": "Touchpoints", "zh": "触点"},
    "kpis": {"en": "KPIs", "zh": "关键绩效指标"},
    "insights": {"en": "Insights", "zh": "客户洞察"},
    "people": {"en": "people", "zh": "人"},
    "times": {"en": "times", "zh": "次"},
    "assumed": {"en": "assumed", "zh": "假设"},
    "of": {"en": "of stage before", "zh": "来自上一阶段"},
    "live": {"en": "live numbers", "zh": "实时数据"},
}


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    colour: str = _INK
    size: int = _FONT
    bold: bool = False
    dot: str | None = None


def render(document: MapDocument, overlay: Overlay | None, locale: Locale) -> str:
    """The SVG text. Without an overlay every touchpoint shows as drawn, without numbers."""
    stages = {s.stage_id: s for s in overlay.stages} if overlay else {}
    touchpoints = {t.touchpoint_id: t for t in overlay.touchpoints} if overlay else {}
    lanes: list[tuple[str, list[list[_Line]]]] = [
        ("goal", [_goal(stage, locale) for stage in document.stages]),
        ("behaviours", [_plain(stage.behaviours, locale) for stage in document.stages]),
        ("touchpoints", [_touchpoints(s, touchpoints, locale) for s in document.stages]),
        ("kpis", [_plain(stage.kpis, locale) for stage in document.stages]),
        ("insights", [_plain(stage.insights, locale) for stage in document.stages]),
    ]
    lanes = [lane for lane in lanes if any(lane[1])]
    width = 2 * _MARGIN + _LABEL + len(document.stages) * (_COLUMN + _GUTTER)
    parts: list[str] = []
    y = _title(parts, document, overlay, locale)
    y = _headers(parts, document, stages, locale, y)
    for name, cells in lanes:
        y = _lane(parts, _WORDS[name][locale], cells, y)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + _MARGIN}" '
        f'viewBox="0 0 {width} {y + _MARGIN}" role="img" '
        "font-family=\"'Noto Sans','Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif\">"
        f"<title>{_safe(document.name.in_locale(locale))}</title>"
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>'
    )


def _title(parts: list[str], document: MapDocument, overlay: Overlay | None, locale: Locale) -> int:
    parts.append(_text(_MARGIN, _MARGIN + 20, document.name.in_locale(locale), _INK, 24, True))
    if overlay:
        note = f"{_WORDS['live'][locale]}: {overlay.since:%Y-%m-%d} / {overlay.until:%Y-%m-%d}"
        parts.append(_text(_MARGIN, _MARGIN + 42, note, _SOFT, 13))
    return _MARGIN + 60


def _headers(
    parts: list[str],
    document: MapDocument,
    numbers: dict[str, StageNumbers],
    locale: Locale,
    y: int,
) -> int:
    for index, stage in enumerate(document.stages):
        x = _x(index)
        # An arrow shape: the journey reads from left to right.
        tip, height = 16, 74
        points = [
            (x, y),
            (x + _COLUMN, y),
            (x + _COLUMN + tip, y + height // 2),
            (x + _COLUMN, y + height),
            (x, y + height),
            (x + tip, y + height // 2),
        ]
        outline = " ".join(f"{px},{py}" for px, py in points)
        parts.append(f'<polygon points="{outline}" fill="{_BLUE}"/>')
        parts.append(_text(x + 28, y + 25, stage.name.in_locale(locale), "#ffffff", 16, True))
        for row, note in enumerate(_stage_notes(numbers.get(stage.id), locale)):
            parts.append(_text(x + 28, y + 45 + row * _LINE, note, "#dbe7f7"))
    return y + 86


def _stage_notes(numbers: StageNumbers | None, locale: Locale) -> list[str]:
    """People, and below them the conversion with its interval: together too long for a column."""
    if numbers is None:
        return []
    if numbers.people is None:
        return [_WORDS["assumed"][locale]]
    notes = [f"{numbers.people:,} {_WORDS['people'][locale]}"]
    if numbers.conversion is not None and numbers.interval is not None:
        low, high = numbers.interval.low, numbers.interval.high
        notes.append(f"{numbers.conversion:.1%} ({low:.1%} … {high:.1%})")
    return notes


def _goal(stage: Stage, locale: Locale) -> list[_Line]:
    if stage.company_goal is None:
        return []
    return [_Line(line) for line in _wrap(stage.company_goal.in_locale(locale))]


def _plain(items: Iterable[object], locale: Locale) -> list[_Line]:
    return _items(items, lambda item: item.text.in_locale(locale))  # type: ignore[attr-defined]


def _items(items: Iterable[object], text: Callable[[object], str]) -> list[_Line]:
    lines: list[_Line] = []
    for item in items:
        wrapped = _wrap(text(item))
        lines += [_Line(line, dot=_SOFT if i == 0 else None) for i, line in enumerate(wrapped)]
    return lines


def _touchpoints(
    stage: Stage, numbers: dict[str, TouchpointNumbers], locale: Locale
) -> list[_Line]:
    lines: list[_Line] = []
    for touchpoint in stage.touchpoints:
        found = numbers.get(touchpoint.id)
        live = found is not None and found.count is not None
        colour = _GREEN if live else _AMBER
        wrapped = _wrap(touchpoint.text.in_locale(locale))
        lines += [
            _Line(t, bold=live, dot=colour if i == 0 else None) for i, t in enumerate(wrapped)
        ]
        if found is not None and found.count is not None:
            note = (
                f"{found.count:,} {_WORDS['times'][locale]} · "
                f"{found.people:,} {_WORDS['people'][locale]}"
            )
            lines.append(_Line(note, colour=_GREEN, size=12))
        elif found is not None:
            lines.append(_Line(_WORDS["assumed"][locale], colour=_AMBER, size=12))
    return lines


def _lane(parts: list[str], label: str, cells: list[list[_Line]], y: int) -> int:
    height = max(len(cell) for cell in cells) * _LINE + 2 * _PAD
    parts.append(_text(_MARGIN, y + _PAD + _FONT, label, _BLUE, 14, True))
    for index, cell in enumerate(cells):
        x = _x(index)
        parts.append(
            f'<rect x="{x}" y="{y}" width="{_COLUMN}" height="{height}" rx="6" fill="{_PALE}"/>'
        )
        for row, line in enumerate(cell):
            base = y + _PAD + _FONT + row * _LINE
            if line.dot:
                parts.append(f'<circle cx="{x + 14}" cy="{base - 4}" r="3" fill="{line.dot}"/>')
            parts.append(_text(x + 24, base, line.text, line.colour, line.size, line.bold))
    return y + height + 10


def _x(index: int) -> int:
    return _MARGIN + _LABEL + index * (_COLUMN + _GUTTER)


def _text(
    x: int, y: int, text: str, colour: str = _INK, size: int = _FONT, bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}"{weight}>{_safe(text)}</text>'


def _safe(text: str) -> str:
    # XML 1.0 has no place for most control characters and U+FFFE, U+FFFF, escaped or not.
    return escape("".join(c for c in text if c == "\t" or (c >= " " and c not in "\ufffe\uffff")))


def _wrap(text: str) -> list[str]:
    """Lines of about ``_TEXT_UNITS`` half-width columns; wide (CJK) characters break anywhere."""
    lines, line, used = [], "", 0
    for word in _words(text):
        units = _units(word)
        if line and used + units > _TEXT_UNITS:
            lines.append(line.rstrip())
            line, used = "", 0
            word = word.lstrip()
            units = _units(word)
        line += word
        used += units
    lines.append(line.rstrip())
    return [found for found in lines if found]


def _words(text: str) -> Iterable[str]:
    word, wide = "", False
    for character in text:
        # A line never starts with closing punctuation.
        joins = word and character in _CLOSING and len(word) < _TEXT_UNITS
        is_wide = east_asian_width(character) in "WF"
        if word and not joins and (is_wide or wide or len(word) >= _TEXT_UNITS):
            yield word
            word = ""
        if character.isspace():
            yield word + " "
            word = ""
        else:
            word += character
        wide = is_wide or (wide and bool(joins))
    if word:
        yield word


def _units(text: str) -> int:
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)
