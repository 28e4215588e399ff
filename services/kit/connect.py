"""How our HTTP clients open connections."""

from collections.abc import Iterable

import httpcore2
import httpx2


class Backend(httpcore2.AnyIOBackend):
    """A connection reset in the moment it is made is a ``ConnectError``, as any other refusal.

    uvloop takes the socket away from a connection that is gone, and anyio, asked for what it
    knows of it, raises ``AttributeError``: an error no caller of an HTTP client reckons with.
    """

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature we override
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        if not 0 < port < 65_536:
            raise httpcore2.ConnectError(f"{port} is no port")
        try:
            stream = await super().connect_tcp(host, port, timeout, local_address, socket_options)
        except UnicodeError as error:
            # What the look-up says to a name that can be none.
            raise httpcore2.ConnectError(f"{host} cannot be resolved") from error
        try:
            # What the pool asks next, and nothing can happen to the connection in between.
            stream.get_extra_info("ssl_object")
        except AttributeError as error:
            raise httpcore2.ConnectError("The connection was reset when it was made.") from error
        return stream


def transport(
    limits: httpx2.Limits, backend: httpcore2.AsyncNetworkBackend | None = None
) -> httpx2.AsyncHTTPTransport:
    """A pool of connections that knows nothing of the environment's proxies."""
    made = httpx2.AsyncHTTPTransport(limits=limits, trust_env=False)
    made._pool._network_backend = backend or Backend()
    return made
