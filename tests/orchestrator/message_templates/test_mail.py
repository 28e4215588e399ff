"""MJML, inlined styles, and the text of a mail that has none."""

from typing import Any

import pytest

from services.orchestrator.message_templates import mail
from services.orchestrator.message_templates.render import TemplateInvalid
from services.orchestrator.message_templates.words import plain_text
from tests.orchestrator.conftest import World

pytestmark = pytest.mark.anyio

MJML = """
<mjml><mj-body><mj-section><mj-column>
  <mj-text>
    Hello {{ profile.traits.name | default: "there" }}{% if event.name %}!{% endif %}
  </mj-text>
  <mj-button href="{{ unsubscribe_url }}">Stop</mj-button>
</mj-column></mj-section></mj-body></mjml>
"""


def test_mjml_becomes_html_with_its_liquid_as_it_was() -> None:
    html = mail.compile_mjml(MJML)
    assert html.startswith("<!doctype html>")
    for each in ('{{ profile.traits.name | default: "there" }}', "{% if event.name %}!{% endif %}"):
        assert each in html
    assert 'href="{{ unsubscribe_url }}"' in html


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('<mjml><mj-body><mj-include path="/etc/hostname"/></mj-body></mjml>', "include"),
        ('<mjml><mj-head><mj-include path="http://127.0.0.1/"/></mj-head></mjml>', "include"),
        ("<mjml><mj-body>", "unexpected end"),
        ("Hello", "unable to parse"),
        # Nested so deep they would end the process; those that nothing closes, too.
        (f"<mjml><mj-body>{'<mj-wrapper>' * 5_000}", "5002 elements; at most 500"),
        (f"<mjml><mj-body><mj-text>{'<b>' * 5_000}", "5003 elements; at most 500"),
    ],
)
def test_what_is_no_mjml_or_would_read_files_is_refused(source: str, said: str) -> None:
    with pytest.raises(TemplateInvalid, match=said):
        mail.compile_mjml(source)


def test_styles_are_written_into_elements_and_nothing_is_fetched() -> None:
    html = (
        '<html><head><link rel="stylesheet" href="http://127.0.0.1:1/x.css">'
        "<style>p { color: red } @media (max-width: 9px) { p { color: blue } }</style></head>"
        "<body><p>Hello</p></body></html>"
    )
    inlined = mail.inline(html)
    assert '<p style="color: red;">Hello</p>' in inlined
    assert "@media" in inlined


@pytest.mark.parametrize(
    "html",
    [
        "<p>No style</p>",
        f"<style>p {{color: red}}</style>{'<div>' * 50_000}",
        f"<style>{'div * {color: red}' * 1_000}</style>{'<p>a</p>' * 2_500}",
    ],
    ids=["none", "deep", "many"],
)
def test_what_would_take_too_long_or_end_the_process_stays_as_it_is(html: str) -> None:
    assert mail.inline(html) == html


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Hello <b>you</b></p><p>Bye</p>", "Hello you\n\nBye\n"),
        (
            'See <a href="https://a.example/?b=1&amp;c=2">this</a>.',
            "See this (https://a.example/?b=1&c=2).\n",
        ),
        ('<a href="https://a.example">https://a.example</a>', "https://a.example\n"),
        ('<a href="https://a.example"><img src="x"></a>', "https://a.example\n"),
        ('<img src="x" alt="Our logo"> &amp; more', "Our logo & more\n"),
        ("<ul><li>One</li><li>Two</li></ul>", "- One\n\n- Two\n"),
        ("<head><title>T</title><style>p{}</style></head>Body", "Body\n"),
        ("a <!-- > b --> c", "a c\n"),
        ("1 < 2 <br>and <unclosed", "1 < 2\nand\n"),
    ],
)
def test_the_text_is_what_the_html_says(html: str, text: str) -> None:
    assert plain_text(html) == text


def test_broken_html_is_walked_over_once() -> None:
    for piece in ("<", "<a ", '<a "', "<!--", "</", "<div a='"):
        plain_text(piece * 200_000)


async def test_a_mail_in_mjml_is_sent_as_html_and_text(world: World) -> None:
    body: dict[str, Any] = {"mjml": MJML, "text": None}
    graph = await world.mail_graph()
    graph["nodes"][0]["template_id"] = template_id = await world.template(**body)
    await world.publish(graph)
    world.feed(world.event(world.person(traits={"name": "Ada"}), "Viewed", offer_id="o"))
    await world.settle()
    [sent] = world.mailbox.messages
    text, html = (part.get_content() for part in sent.iter_parts())  # type: ignore[attr-defined]
    assert text.startswith("Hello Ada!")
    assert "Stop (https://cx.example.org/v1/" in text
    assert "Hello Ada!" in html
    kept = await world.get(f"/message-templates/{template_id}")
    assert (kept["mjml"], kept["text"]) == (MJML, None)
    preview = await world.post(f"/message-templates/{template_id}/preview", {})
    assert preview["text"].startswith("Hello there")


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ({}, "#"),
        ({"html": "<p>a</p>", "mjml": MJML}, "#"),
        ({"mjml": "<mjml>"}, "#/mjml"),
        ({"mjml": MJML.replace("{% endif %}", "")}, "#/mjml"),
    ],
)
async def test_templates_say_something_in_one_way(
    world: World, parts: dict[str, str], pointer: str
) -> None:
    body = {"name": "T", "subject": "S", **parts}
    answer = await world.client.post("/api/v1/message-templates", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)
