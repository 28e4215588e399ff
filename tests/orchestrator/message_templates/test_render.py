"""Templates of tenants render within bounds."""

import contextlib
import time

import pytest

from services.orchestrator.message_templates.render import (
    Parts,
    TemplateInvalid,
    check,
    render,
    render_payload,
    render_text,
)

BOMBS = {
    "range": "{% assign a = (1..100000000) %}{{ a | join: 'xxxxxxxxxx' | size }}",
    "loops": "{% for i in (1..9999) %}{% for j in (1..9999) %}{% endfor %}{% endfor %}",
    "doubling": "{% assign a = 'xxxxxxxxxx' %}"
    + "{% assign a = a | append: a %}" * 40
    + "{{ a | size }}",
    "output": "{% for i in (1..9999) %}" + "x" * 1_000 + "{% endfor %}",
    "capture": "{% capture a %}xxxxxxxxxxxxxxxx{% endcapture %}"
    + "{% capture a %}{{ a }}{{ a }}{% endcapture %}" * 40,
    "nesting": "{% if true %}" * 3_000 + "{% endif %}" * 3_000,
    "replace": "{% assign a = 'xxxxxxxxxxxxxxxxxxxxxxxx' %}"
    + "{% assign a = a | replace: 'x', a %}" * 8
    + "{{ a | size }}",
    "filters": "{% assign a = (1..10000) | join: ',' %}{% for i in (1..900) %}"
    "{% assign b = a | split: ',' | sort | reverse %}{% endfor %}",
    "power": "{% assign a = 9999999999 %}" + "{% assign a = a | times: a %}" * 30 + "{{ a }}",
    "sums": "{% assign a = (1..10000) | join: ',' | split: ',' %}"
    "{% for i in (1..5000) %}{% assign b = a | sum %}{% endfor %}",
    "quadratic": "{% assign a = (1..10000) | join: ',' | split: ',' | uniq %}",
    "tags": "{{ '" + "<" * 150_000 + "' | strip_html }}",
    "blocks": "{{ '" + "<script>" * 20_000 + "' | strip_html }}",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_ends_soon(bomb: str) -> None:
    started = time.monotonic()
    with contextlib.suppress(TemplateInvalid):
        assert len(render_text("text", bomb, {})) < 2_000_000
    assert time.monotonic() - started < 3


def test_a_range_is_cut() -> None:
    assert render_text("text", "{{ (1..100000000) | size }}", {}) == "10000"


def test_values_are_escaped_in_html_only() -> None:
    parts = render(Parts("{{ x }}", "{{ x }}", "{{ x }}{{ x | safe }}"), {"x": "<b>"})
    assert (parts.subject, parts.text, parts.html) == ("<b>", "<b>", "&lt;b&gt;<b>")


def test_a_subject_is_one_line() -> None:
    assert render(Parts("a\r\nBcc: {{ x }}", "", None), {"x": "b\nc"}).subject == "a Bcc: b c"


def test_objects_of_python_are_out_of_reach() -> None:
    source = "{{ x.__class__ }}{{ x.__class__.__mro__ }}{{ x['__class__'] }}"
    assert render_text("text", source, {"x": {"a": 1}}) == ""


def test_payloads_render_texts_wherever_they_are() -> None:
    payload = {"a": "{{ x }}", "b": [1, None, {"c": "{{ x }}!"}], "d": True}
    assert render_payload(payload, {"x": "y"}) == {"a": "y", "b": [1, None, {"c": "y!"}], "d": True}


@pytest.mark.parametrize("source", ["{{ x", "{% if %}", "{% nothing %}", "{{ x | nothing }}"])
def test_what_does_not_parse_or_exist_names_its_part(source: str) -> None:
    with pytest.raises(TemplateInvalid) as error:
        check("subject", source)
    assert error.value.part == "subject"
