"""Which addresses webhooks may reach: checked on the resolved address, at connect time.

Checking the URL is not enough: names resolve to anything, and addresses have many spellings.
"""

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import httpcore2
import httpx2
from pydantic import AnyHttpUrl, TypeAdapter, ValidationError

from services.kit import connect

# All that is handed out for the public; `is_global` knows only what is reserved, and so leaves open
# the old spellings of IPv4 (`::127.0.0.1`, `::ffff:0:127.0.0.1`) and site-local addresses.
_UNICAST_V6 = ip_network("2000::/3")
# What `is_global` of Python 3.11 wrongly calls global, or what embeds another address.
_DENIED_V6 = [
    ip_network(each)
    for each in (
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/23",
        "3fff::/20",
        "5f00::/16",
    )
]
_DENIED_V4 = [ip_network(each) for each in ("192.0.0.0/24", "192.88.99.0/24")]


ANSWER_SECONDS = 30.0
"""For a whole exchange. The client's own limits are for each piece of it: an answer that drips byte
by byte would hold its sender for days. More than the waits for a place in the pool and for a
connection together, so that what was never sent is told apart from what may have been taken."""


class AddressRefused(httpcore2.ConnectError):
    """The name leads to an address that webhooks may not reach."""


def allowed(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is one of the public internet."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return allowed(address.ipv4_mapped)
        if address not in _UNICAST_V6:
            return False
        denied: Iterable[Any] = _DENIED_V6
    else:
        denied = _DENIED_V4
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in denied)
    )


class GuardedBackend(connect.Backend):
    """Connects to the very address it has checked, so that a second look-up cannot differ."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature we override
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, OverflowError) as error:
            raise httpcore2.ConnectError(f"{host} cannot be resolved") from error
        addresses = [ip_address(str(info[4][0]).partition("%")[0]) for info in found]
        if not addresses or not all(allowed(address) for address in addresses):
            raise AddressRefused(f"{host} leads to an address that is not public")
        return await super().connect_tcp(
            str(addresses[0]), port, timeout, local_address, socket_options
        )


_WEB_ADDRESS = TypeAdapter(AnyHttpUrl)


def web_address(text: str, *, local: bool = False) -> str:
    """The address a tenant chooses, as given. ``ValueError`` says what would be accepted.

    ``local``: plain http is accepted for this very machine. Where the name leads is not asked here:
    that is checked when it is connected to.
    """
    try:
        url = _WEB_ADDRESS.validate_python(text)
        # What the client would not understand when the time has come.
        httpx2.URL(text)
    except (ValidationError, httpx2.InvalidURL) as error:
        raise ValueError("an address such as https://partner.example/hooks is accepted") from error
    if any(character <= " " for character in text):
        raise ValueError("an address without spaces and control characters is accepted")
    if url.scheme != "https" and not (local and url.host in ("localhost", "127.0.0.1")):
        raise ValueError("an https:// address is accepted")
    authority = text.split("/")[2]
    if not authority or "@" in authority:
        raise ValueError("an address with a host and without a user is accepted")
    if url.port == 0 or not all(0 < len(label) < 64 for label in _labels(url.host or "")):
        raise ValueError("an address with a host and a port that there can be is accepted")
    return text


def _labels(host: str) -> list[str]:
    return [host] if host.startswith("[") else host.removesuffix(".").split(".")


def webhook_client(*, allow_private: bool) -> httpx2.AsyncClient:
    """A client for requests to addresses that tenants choose. It follows no redirects."""
    return httpx2.AsyncClient(
        transport=connect.transport(
            httpx2.Limits(max_connections=50, max_keepalive_connections=20),
            connect.Backend() if allow_private else GuardedBackend(),
        ),
        timeout=httpx2.Timeout(15.0, connect=5.0),
        follow_redirects=False,
        trust_env=False,
    )
