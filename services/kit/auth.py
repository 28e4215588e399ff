"""Internal tokens: short-lived Ed25519 JWTs that services sign with their own key and check.

Sign with ``TokenSigner``, check with ``TokenVerifier``; routes take ``UserCaller`` or
``ServiceCaller``. Nobody outside the platform ever sees one of these tokens.
"""

import json
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from services.kit.keys import generate_key as generate_key
from services.kit.problems import Problem

LIFETIME_SECONDS = 300
_ALGORITHMS = ["Ed25519"]


class Unauthenticated(Problem):
    type = "/problems/unauthenticated"
    title = "Credentials are missing or not valid"
    status = HTTPStatus.UNAUTHORIZED


class Forbidden(Problem):
    type = "/problems/forbidden"
    title = "These credentials do not allow this"
    status = HTTPStatus.FORBIDDEN


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a user (through the gateway) or a service; ``workspace`` is what it acts in."""

    issuer: str
    kind: Literal["user", "service"]
    subject: str
    workspace: UUID | None = None
    scopes: frozenset[str] = field(default_factory=frozenset)
    source_id: str | None = None

    @property
    def workspace_id(self) -> UUID:
        if self.workspace is None:
            raise Forbidden("This call needs a token that names a workspace.")
        return self.workspace


class TokenSigner:
    """Signs tokens as ``issuer``; reuses one per (audience, claims) for half of its lifetime."""

    def __init__(self, issuer: str, private_jwk: str) -> None:
        self._issuer = issuer
        self._key = OKPKey.import_key(json.loads(private_jwk))
        self._cache: dict[tuple[Any, ...], tuple[float, str]] = {}

    def token(
        self,
        audience: str,
        *,
        kind: Literal["user", "service"] = "service",
        subject: str | None = None,
        workspace_id: UUID | None = None,
        scopes: tuple[str, ...] = (),
        source_id: str | None = None,
    ) -> str:
        cache_key = (audience, kind, subject, workspace_id, scopes, source_id)
        now = time.time()
        known = self._cache.get(cache_key)
        if known and known[0] > now:
            return known[1]
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": audience,
            "sub": subject or self._issuer,
            "kind": kind,
            "iat": int(now),
            "exp": int(now) + LIFETIME_SECONDS,
            "scopes": list(scopes),
        }
        if workspace_id is not None:
            claims["ws"] = str(workspace_id)
        if source_id is not None:
            claims["src"] = source_id
        token = jwt.encode({"alg": "Ed25519"}, claims, self._key, algorithms=_ALGORITHMS)
        if len(self._cache) > 10_000:
            self._cache.clear()
        self._cache[cache_key] = (now + LIFETIME_SECONDS / 2, token)
        return token


class TokenVerifier:
    """Checks tokens meant for ``audience``; remembers good ones until they expire."""

    def __init__(self, audience: str, trusted_keys: dict[str, dict[str, str]]) -> None:
        self._audience = audience
        self._keys = {issuer: OKPKey.import_key(dict(k)) for issuer, k in trusted_keys.items()}
        self._known: dict[str, tuple[float, Caller]] = {}

    def verify(self, token: str) -> Caller:
        """The caller; raises ``Unauthenticated`` with the reason."""
        now = time.time()
        known = self._known.get(token)
        if known and known[0] > now:
            return known[1]
        expires_at, caller = self._check(token, now)
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[token] = (expires_at, caller)
        return caller

    def _check(self, token: str, now: float) -> tuple[float, Caller]:
        for issuer, key in self._keys.items():
            try:
                claims = jwt.decode(token, key, algorithms=_ALGORITHMS).claims
            except (JoseError, ValueError):
                continue
            if claims.get("iss") != issuer:
                continue
            if claims.get("aud") != self._audience:
                raise Unauthenticated("The token is meant for another service.")
            if not isinstance(claims.get("exp"), int) or claims["exp"] <= now:
                raise Unauthenticated("The token has expired.")
            workspace = claims.get("ws")
            return claims["exp"], Caller(
                issuer=issuer,
                kind=claims["kind"],
                subject=claims["sub"],
                workspace=UUID(workspace) if workspace else None,
                scopes=frozenset(claims.get("scopes", ())),
                source_id=claims.get("src"),
            )
        raise Unauthenticated("The token is not signed by a known service.")


def authenticate(request: Request) -> Caller:
    """The caller of an internal request, from its ``Authorization: Bearer`` header."""
    verifier: TokenVerifier = request.app.state.token_verifier
    return authenticated(verifier, request.headers.get("authorization", ""))


def authenticated(verifier: TokenVerifier, authorization: str) -> Caller:
    """The caller whose ``Authorization`` header this is."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("An Authorization: Bearer token is needed.")
    return verifier.verify(token)


def _service(request: Request) -> Caller:
    caller = authenticate(request)
    if caller.kind != "service":
        raise Forbidden("Only services may call this.")
    return caller


def _user(request: Request) -> Caller:
    caller = authenticate(request)
    if caller.workspace is None:
        raise Forbidden("This call needs a token that names a workspace.")
    return caller


ServiceCaller = Annotated[Caller, Depends(_service)]
UserCaller = Annotated[Caller, Depends(_user)]
