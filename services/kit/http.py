"""HTTP to other services: a signed token and the request id on every call."""

from typing import Any, Literal
from uuid import UUID

import httpx2
import structlog

from services.kit.auth import TokenSigner
from services.kit.problems import Unavailable

REQUEST_ID_HEADER = "X-Request-Id"


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
            limits=httpx2.Limits(max_connections=100, max_keepalive_connections=20),
            trust_env=False,
        )

    async def request(
        self,
        method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
        path: str,
        *,
        workspace_id: UUID | None = None,
        **kwargs: Any,
    ) -> httpx2.Response:
        headers = {
            "Authorization": "Bearer "
            + self._signer.token(self.audience, workspace_id=workspace_id)
        }
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        if request_id:
            headers[REQUEST_ID_HEADER] = request_id
        headers |= kwargs.pop("headers", {})
        try:
            response = await self._client.request(method, path, headers=headers, **kwargs)
        except httpx2.TransportError as error:
            raise Unavailable(f"{self.audience} does not answer.") from error
        if response.status_code in (502, 503, 504):
            raise Unavailable(f"{self.audience} is not available.")
        return response

    async def close(self) -> None:
        await self._client.aclose()
