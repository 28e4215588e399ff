"""Addresses that tenants choose: as text when they are said, as hosts when they are reached."""

import httpcore2
import pytest

from services.kit.connect import Backend
from services.kit.guard import GuardedBackend, web_address

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "text",
    [
        "https://partner.example/hooks?a=b#c",
        "HTTPS://Partner.Example./",
        "https://partner.example:8443/",
        "https://bücher.example/",
        "https://xn--bcher-kva.example/",
        "https://203.0.113.7/",
        "https://[2001:db8::1]/",
    ],
)
def test_an_address_of_the_web_is_taken_as_it_is(text: str) -> None:
    assert web_address(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "partner.example",
        "//partner.example/",
        "http://partner.example/",
        "http://localhost/",
        "ftp://partner.example/",
        "ftp://localhost/",
        "file://localhost/etc/passwd",
        "gopher://127.0.0.1:1/",
        "javascript:alert(1)",
        "https://",
        "https:///hooks",
        "https://user@partner.example/",
        "https://:secret@partner.example/",
        "https://@partner.example/",
        "https://a..b/",
        "https://" + "a" * 64 + ".example/",
        "https://partner.example:0/",
        "https://partner.example:99999/",
        "https://partner.example:-1/",
        "https://partner.example:x/",
        "https://[::1/",
        "https://[v1.a]/",
        "https://a b/",
        " https://partner.example/",
        "https://partner.example/ ",
        "https://partner.example/\r\nX: y",
        "https://partner.example/\tq",
        "https://partner.example/\x00",
        "https://\u2024/",
        "https://\u200b/",
        "https://partner.example\\@127.0.0.1/",
    ],
)
def test_what_is_no_address_of_the_web_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="accepted"):
        web_address(text)


def test_plain_http_is_taken_for_this_machine_where_it_is_asked_for() -> None:
    assert web_address("http://localhost:1/hook", local=True) == "http://localhost:1/hook"
    for text in ("http://partner.example/", "ftp://localhost/"):
        with pytest.raises(ValueError, match="https"):
            web_address(text, local=True)


@pytest.mark.parametrize("backend", [Backend(), GuardedBackend()])
@pytest.mark.parametrize(("host", "port"), [("a..b", 443), ("a" * 70, 443), ("localhost", 99_999)])
async def test_a_host_that_can_be_none_is_a_failed_connection(
    backend: Backend, host: str, port: int
) -> None:
    with pytest.raises(httpcore2.ConnectError):
        await backend.connect_tcp(host, port)
