"""Which links of a mail are led through this platform, and which are left alone."""

import re
import time
from typing import Any
from uuid import uuid4

import pytest

from services.orchestrator.receipts.links import MAX_LINKS, Tracker, wanted
from services.orchestrator.receipts.tokens import TokenKey, Tracked

KEY = TokenKey("a key of this test run")
URL = "https://cx.example.org"
TRACKER = Tracker(uuid4(), KEY, URL)
MESSAGE = uuid4()
_OURS = re.compile(rf"{URL}/v1/c/([A-Za-z0-9_-]+)")


def track(text: str = "", html: str | None = None, **wished: bool) -> dict[str, Any]:
    content = {"subject": "s", "text": text, "html": html}
    return TRACKER.track(MESSAGE, content, **{"opens": False, "clicks": True, **wished})


def links(source: str) -> list[Tracked]:
    found = [KEY.read("click", token) for token in _OURS.findall(source)]
    assert None not in found
    return [each for each in found if each is not None]


HTML = {
    '<a href="https://a.example/x?y=1&amp;z=2">x</a>': ["https://a.example/x?y=1&z=2"],
    "<A class='b' HREF = 'http://a.example'>x</A>": ["http://a.example"],
    '<a\n href="HTTPS://a.example">x</a><area href="https://b.example">': [
        "HTTPS://a.example",
        "https://b.example",
    ],
    '<a href=" https://a.example/ä ">x</a>': ["https://a.example/ä"],
    '<a href="mailto:a@example.com">x</a>': [],
    '<a href="tel:+123">x</a><a href="#top">y</a><a href="/path">z</a>': [],
    '<a href="javascript:alert(1)">x</a>': [],
    f'<a href="{URL}/v1/unsubscribe/abc">x</a><a href="{URL}/v1/preferences/abc">y</a>': [],
    '<img src="https://a.example/i.png"><link href="https://a.example/s.css">': [],
    f'<a href="https://a.example/{"x" * 2_000}">x</a>': [],
    '<a data-href="https://a.example">x</a>': [],
    '<a href="https://a.example">': ["https://a.example"],
    '<a href="https://a.example': [],
    "https://a.example": [],
}


@pytest.mark.parametrize(("html", "expected"), HTML.items())
def test_links_of_html(html: str, expected: list[str]) -> None:
    changed = track(html=html)["html"]
    assert [each.url for each in links(changed)] == expected
    if not expected:
        assert changed == html


TEXT = {
    "See https://a.example/x.": ["https://a.example/x"],
    "(http://a.example), and https://b.example!": ["http://a.example", "https://b.example"],
    f"Stop: {URL}/v1/unsubscribe/abc": [],
    "ftp://a.example mailto:a@example.com www.a.example": [],
}


@pytest.mark.parametrize(("text", "expected"), TEXT.items())
def test_links_of_text(text: str, expected: list[str]) -> None:
    changed = track(text=text)["text"]
    assert [each.url for each in links(changed)] == expected
    assert changed.rstrip(".,!)")[-1:] != "." or expected == []
    if not expected:
        assert changed == text


def test_text_and_html_number_the_same_address_the_same() -> None:
    html = '<a href="https://a.example">1</a><a href="https://b.example">2</a>'
    content = track("https://b.example https://c.example", html)
    assert [each.link for each in links(content["html"])] == [0, 1]
    assert [each.link for each in links(content["text"])] == [1, 2]


def test_the_pixel_stands_at_the_end_of_the_body() -> None:
    content = track("Hi", "<html><body>Hi</BODY></html>", opens=True, clicks=False)
    assert re.fullmatch(
        rf'<html><body>Hi<img src="{URL}/v1/o/[\w-]+"[^>]*></BODY></html>', content["html"]
    )
    assert track("Hi", "<p>Hi", opens=True)["html"].startswith("<p>Hi<img ")
    assert track("Hi", None, opens=True) == {"subject": "s", "text": "Hi", "html": None}


def test_no_more_links_are_led_through_than_a_mail_may_have() -> None:
    text = " ".join(f"https://a.example/{number}" for number in range(MAX_LINKS + 5))
    assert len(links(track(text=text)["text"])) == MAX_LINKS


@pytest.mark.parametrize(
    "hostile",
    [
        "<a " * 600_000,
        "<a" + " href" * 400_000,
        '<a href="' * 200_000,
        "<a href=" + " " * 2_000_000,
        "</body " * 250_000,
        "https://" * 250_000,
    ],
    ids=range(6),
)
def test_a_hostile_mail_takes_no_time(hostile: str) -> None:
    began = time.process_time()
    track(hostile, hostile, opens=True)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("said", "purpose", "expected"),
    [
        (None, "marketing", True),
        (None, "transactional", False),
        (True, "transactional", True),
        (False, "marketing", False),
    ],
)
def test_what_a_channel_does_not_say(said: bool | None, purpose: str, *, expected: bool) -> None:
    assert wanted({"track_opens": said}, "track_opens", purpose) is expected
    if said is None:
        assert wanted({}, "track_opens", purpose) is expected
