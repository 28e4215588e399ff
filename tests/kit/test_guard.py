"""Addresses that tenants choose: none that no request can be made to, and no error unlooked-for."""

import httpcore2
import pytest

from services.kit.guard import GuardedBackend, web_address

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("host", ["a" * 70 + ".example.org", "a..b"])
async def test_a_name_that_cannot_be_looked_up_is_a_failed_connection(host: str) -> None:
    with pytest.raises(httpcore2.ConnectError, match="cannot be resolved"):
        await GuardedBackend().connect_tcp(host, 443)


@pytest.mark.parametrize(
    "url",
    [
        "https://partner.example.org/hook?a=b@c",
        "https://partner.example.org:8443/",
        "https://exämple.org/",
        "http://localhost:8080/",
        "http://127.0.0.1:8080/",
    ],
)
def test_an_address_a_request_can_be_made_to_is_taken(url: str) -> None:
    assert web_address(url) == url
