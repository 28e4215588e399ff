"""What the edge needs to serve a request; made once, at start."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import Scope

from gateway.keys.ring import KeyRing
from gateway.proxy import Headers, Upstream
from gateway.turns import Turns
from services.kit.auth import TokenSigner


@dataclass(frozen=True, slots=True)
class Context:
    keys: KeyRing
    signer: TokenSigner
    ingest: Upstream
    turns: Turns
    """Before ``ingest``."""
    services: Mapping[str, Upstream]
    """By name; ``tracking`` is its store role."""

    def forwarded(self, scope: Scope) -> Headers:
        """Who the client is, as far as we know it."""
        client = scope.get("client")
        return [(b"x-forwarded-for", client[0].encode())] if client else []
