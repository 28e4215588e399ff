"""One local server that stands for any provider: it keeps what it is asked and answers as told."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.types import Receive, Scope, Send

from tests.support.serving import listening


@dataclass(frozen=True)
class Reply:
    """``lost``: the request is taken, and the connection cut before the answer."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass
class Provider:
    """Answers by path: ``replies`` in order, the last one for good; paths not named get 404."""

    replies: dict[str, list[Reply]] = field(default_factory=dict)
    requests: list[Asked] = field(default_factory=list)
    refuses: Callable[[Asked], Reply | None] = lambda _: None
    """What the provider checks of each request; its answer to one that it does not let in."""
    url: str = ""

    def says(self, path: str, *replies: Reply) -> None:
        self.replies[path] = list(replies)

    def asked(self, path: str) -> list[Asked]:
        return [each for each in self.requests if each.path == path]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = {k: v[0] for k, v in parse_qs(scope["query_string"].decode()).items()}
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        path = urlsplit(scope["path"]).path
        asked = Asked(scope["method"], path, query, headers, body)
        self.requests.append(asked)
        reply = self.refuses(asked) or self._next(path)
        content = b"" if reply.body is None else json.dumps(reply.body).encode()
        # uvicorn cuts the connection of an app that sends less than it said.
        length = len(content) + (1 if reply.lost else 0)
        found = {"content-type": "application/json", "content-length": str(length)}
        raw = [(k.encode(), v.encode()) for k, v in {**found, **reply.headers}.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    def _next(self, path: str) -> Reply:
        known = self.replies.get(path, [Reply(404)])
        return known.pop(0) if len(known) > 1 else known[0]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with listening(self) as url:
            self.url = url
            yield
