"""Runs a service's app inside the test and calls it over HTTP, with tokens a service would sign."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import cache
from uuid import UUID

import httpx2
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from services.kit.auth import TokenSigner, generate_key

ISSUERS = ("gateway", "tracking", "profile", "orchestrator", "assessment")


@cache
def _keys() -> dict[str, tuple[str, dict[str, str]]]:
    return {issuer: generate_key() for issuer in ISSUERS}


def signing_key(issuer: str) -> str:
    """The private JWK (JSON) of `issuer` in this test run, for its settings."""
    return _keys()[issuer][0]


def trusted_keys() -> dict[str, dict[str, str]]:
    """The public JWKs of all issuers, for any service's settings."""
    return {issuer: public for issuer, (_, public) in _keys().items()}


@cache
def _signer(issuer: str) -> TokenSigner:
    return TokenSigner(issuer, signing_key(issuer))


def user_headers(
    audience: str,
    workspace_id: UUID,
    *,
    scopes: Iterable[str] = ("admin",),
    source_id: str | None = None,
) -> dict[str, str]:
    """Headers as the gateway sends them for a user's call to `audience`."""
    token = _signer("gateway").token(
        audience,
        kind="user",
        subject="user:test",
        workspace_id=workspace_id,
        scopes=tuple(scopes),
        source_id=source_id,
    )
    return {"Authorization": f"Bearer {token}"}


def service_headers(issuer: str, audience: str, workspace_id: UUID | None = None) -> dict[str, str]:
    """Headers as the service `issuer` sends them to `audience` from the background."""
    return {"Authorization": f"Bearer {_signer(issuer).token(audience, workspace_id=workspace_id)}"}


@asynccontextmanager
async def running(
    app: FastAPI, headers: dict[str, str] | None = None
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `app` while its lifespan runs; `headers` go with every request.

    As behind uvicorn, each request sees a copy of the lifespan's state and an unhandled error is
    answered with a 500 instead of surfacing in the test.
    """
    async with app.router.lifespan_context(app) as state:
        shared = dict(state or {})

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            scope["state"] = dict(shared)
            await app(scope, receive, send)

        transport = httpx2.ASGITransport(with_state, raise_app_exceptions=False)
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://test", headers=headers
        ) as client:
            yield client
