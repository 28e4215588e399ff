"""Renders Liquid with bounds: templates come from tenants and must not take the process down. Pure.

python-liquid's own limits stop loops, captures and doubling strings. It leaves open ranges
(`{{ (1..100000000) | join }}` runs for seconds) and filters that multiply (`replace` of every
letter by the text itself asks for gigabytes), so both are capped here; and it counts a filter over
ten thousand items as one step, so the work of filters is counted by size.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any

from liquid import BoundTemplate, Environment
from liquid.builtin.expressions import primitive
from liquid.exceptions import LiquidError, OutputStreamLimitError

MAX_RANGE = 10_000
MAX_SOURCE = 200_000
MAX_TEXT = 2_000_000
MAX_WORK = 5_000_000
"""Characters and list items that the filters of one rendering may touch: well below a second."""

_work: ContextVar[list[int]] = ContextVar("work")


class _CappedRange(primitive.RangeLiteral):
    __slots__ = ()

    def _make_range(self, start: Any, stop: Any) -> range:
        return super()._make_range(start, stop)[:MAX_RANGE]


# The parser makes ranges by this global name; there is no other hook.
primitive.RangeLiteral = _CappedRange  # type: ignore[misc]


class _Bounded(Environment):
    loop_iteration_limit = 10_000
    output_stream_limit = MAX_TEXT
    local_namespace_limit = MAX_TEXT
    context_depth_limit = 30
    block_nesting_limit = 30

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for name, plain in list(self.filters.items()):
            self.add_filter(name, _capped(name, plain))


def _capped(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, refusing to make a longer text than a whole message may be."""

    @wraps(plain)
    def capped(value: Any, *args: Any, **kwargs: Any) -> Any:
        if name == "replace" and len(args) > 1:
            text, old, new = (str(each) for each in (value, args[0], args[1]))
            found = text.count(old) if old else len(text) + 1
            _refuse(len(text) + found * max(0, len(new) - len(old)))
        elif name == "join" and args and isinstance(value, list | tuple | range):
            _refuse(len(value) * len(str(args[0])))
        _count(_cost(name, value) + sum(map(_size, args)))
        result = plain(value, *args, **kwargs)
        if isinstance(result, str):
            _refuse(len(result))
        _count(_size(result))
        return result

    return capped


def _size(value: Any) -> int:
    if isinstance(value, int):
        return 1 + value.bit_length() ** 2 // 1_000
    return len(value) if isinstance(value, str | list | tuple | range | dict) else 1


def _cost(name: str, value: Any) -> int:
    size = _size(value)
    if name == "uniq" and not isinstance(value, str):
        return size * size
    if name == "sum":
        return size * 10
    if name == "strip_html" and isinstance(value, str):
        # Every tag and block that nothing closes is looked for up to the end.
        open_tags = value.count("<", value.rfind(">") + 1)
        open_blocks = sum(value.count(each) for each in ("<script", "<style", "<!--"))
        return size * (1 + open_tags + open_blocks)
    return size


def _count(work: int) -> None:
    done = _work.get(None)
    if done is None:
        return
    done[0] += work
    if done[0] > MAX_WORK:
        raise OutputStreamLimitError("the filters have too much to do", token=None)


def _refuse(length: int) -> None:
    if length > MAX_TEXT:
        raise OutputStreamLimitError(f"a text of {length} characters is too long", token=None)


# HTML escapes what a person's traits hold; whoever trusts a value writes `| safe`.
_ENVIRONMENTS = {"text": _Bounded(), "html": _Bounded(autoescape=True)}


class TemplateInvalid(ValueError):
    """`part` (subject, text, html or a payload pointer) and what is wrong with it."""

    def __init__(self, part: str, detail: str) -> None:
        super().__init__(f"{part}: {detail}")
        self.part = part
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Parts:
    """The source of a message, or what became of it."""

    subject: str
    text: str | None
    """None of a source: what the html says."""
    html: str | None
    extras: Mapping[str, Any] | None = None


@lru_cache(maxsize=512)
def _parsed(kind: str, source: str) -> BoundTemplate:
    return _ENVIRONMENTS[kind].from_string(source)


def check(part: str, source: str) -> None:
    """Raises ``TemplateInvalid`` when the source does not parse or uses a filter there is not."""
    kind = "html" if part == "html" else "text"
    try:
        used = _parsed(kind, source).analyze().filters
    except (LiquidError, RecursionError) as error:
        raise TemplateInvalid(part, _reason(error)) from error
    for name in used:
        if name not in _ENVIRONMENTS[kind].filters:
            raise TemplateInvalid(part, f"there is no filter {name!r}")


def render_text(part: str, source: str, variables: Mapping[str, Any]) -> str:
    """Raises ``TemplateInvalid`` when a bound is hit or a filter fails."""
    _work.set([0])
    try:
        template = _parsed("html" if part == "html" else "text", source)
        return template.render(**variables)
    except (LiquidError, RecursionError, ArithmeticError, TypeError, ValueError) as error:
        raise TemplateInvalid(part, _reason(error)) from error


def render(source: Parts, variables: Mapping[str, Any]) -> Parts:
    subject = render_text("subject", source.subject, variables)
    return Parts(
        # A line break in a subject would start a header of the attacker's choice.
        subject=" ".join(subject.split()),
        text=None if source.text is None else render_text("text", source.text, variables),
        html=None if source.html is None else render_text("html", source.html, variables),
    )


def render_payload(payload: Any, variables: Mapping[str, Any], pointer: str = "payload") -> Any:
    """Texts anywhere inside are templates; everything else stays as it is."""
    if isinstance(payload, str):
        return render_text(pointer, payload, variables)
    if isinstance(payload, Mapping):
        return {k: render_payload(v, variables, f"{pointer}/{k}") for k, v in payload.items()}
    if isinstance(payload, list):
        return [render_payload(v, variables, f"{pointer}/{i}") for i, v in enumerate(payload)]
    return payload


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
