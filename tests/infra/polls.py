"""An app with one long poll, served by a process of its own that says when somebody waits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from services.kit.feeds import MAX_WAIT_SECONDS, Bell
from services.kit.waiting import came

WAITING = "somebody waits"


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[dict[str, Bell]]:
    yield {"bell": Bell()}


def create_app() -> FastAPI:
    app = FastAPI(lifespan=_lifespan)

    @app.get("/poll")
    async def poll(request: Request) -> dict[str, bool]:
        rung = request.state.bell.listen("all")
        print(WAITING, flush=True)
        return {"rung": await came(rung, MAX_WAIT_SECONDS)}

    return app
