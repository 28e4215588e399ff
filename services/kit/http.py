"""HTTP to other services: a signed token and the request id on every call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import UUID

import httpx2
import structlog

from services.kit import connect
from services.kit.auth import TokenSigner
from services.kit.problems import Unavailable

REQUEST_ID_HEADER = "X-Request-Id"

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class ServiceClient:
    """A client of one service (``audience``).

    Calls raise ``Unavailable`` when the service cannot be reached or answers 502, 503, 504;
    other answers are returned as they are.
    """

    def __init__(self, audience: str, base_url: str, signer: TokenSigner) -> None:
        self.audience = audience
        self._signer = signer
        self._client = httpx2.AsyncClient(
            base_url=base_url,
            timeout=httpx2.Timeout(30.0, connect=2.0),
            transport=connect.transport(
                httpx2.Limits(max_connections=100, max_keepalive_connections=20)
            ),
            trust_env=False,
        )

    async def request(
        self,
        method: Method,
        path: str,
        *,
        workspace_id: UUID | None = None,
        **kwargs: Any,
    ) -> httpx2.Response:
        headers = self._headers(workspace_id) | kwargs.pop("headers", {})
        try:
            response = await self._client.request(method, path, headers=headers, **kwargs)
        except httpx2.TransportError as error:
            raise Unavailable(f"{self.audience} does not answer.") from error
        self._check(response)
        return response

    @asynccontextmanager
    async def stream(
        self, method: Method, path: str, *, workspace_id: UUID | None = None, **kwargs: Any
    ) -> AsyncIterator[httpx2.Response]:
        """The same for an answer that is read piece by piece, while the block lasts."""
        headers = self._headers(workspace_id) | kwargs.pop("headers", {})
        try:
            async with self._client.stream(method, path, headers=headers, **kwargs) as response:
                self._check(response)
                yield response
        except httpx2.TransportError as error:
            raise Unavailable(f"{self.audience} does not answer.") from error

    def _headers(self, workspace_id: UUID | None) -> dict[str, str]:
        token = self._signer.token(self.audience, workspace_id=workspace_id)
        headers = {"Authorization": "Bearer " + token}
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        if request_id:
            headers[REQUEST_ID_HEADER] = request_id
        return headers

    def _check(self, response: httpx2.Response) -> None:
        if response.status_code in (502, 503, 504):
            raise Unavailable(f"{self.audience} is not available.")

    async def pieces(
        self,
        method: Method,
        path: str,
        *,
        workspace_id: UUID | None = None,
        read_seconds: float,
        **kwargs: Any,
    ) -> AsyncIterator[bytes]:
        """Pieces of an answer of any size; ``httpx2.HTTPStatusError`` for one that is a failure.

        ``read_seconds``: how long a piece may keep us waiting. Raises ``Unavailable`` where it
        breaks off too.
        """
        timeout = httpx2.Timeout(30.0, connect=2.0, read=read_seconds)
        asked = self.stream(method, path, workspace_id=workspace_id, timeout=timeout, **kwargs)
        async with asked as response:
            response.raise_for_status()
            async for piece in response.aiter_bytes():
                yield piece

    async def close(self) -> None:
        await self._client.aclose()
