"""Tracking and profile as maps see them: a small app that answers what the contracts say."""

import asyncio
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI

from services.contracts.profile import StageModel
from services.contracts.tracking import (
    Funnel,
    FunnelQuery,
    FunnelStepResult,
    SignalCount,
    SignalCounts,
    SignalQuery,
)


class Neighbours:
    """``counts``: people by event name; what was published is in ``stage_models``."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.stage_models: dict[str, StageModel] = {}
        self.url = ""

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/internal/v1/signals")
        async def signals(query: SignalQuery) -> SignalCounts:
            return SignalCounts(
                signals={
                    name: SignalCount(
                        count=2 * self.counts[node.event], people=self.counts[node.event]
                    )
                    for name, node in query.signals.items()
                }
            )

        @app.post("/api/v1/analytics/funnel")
        async def funnel(query: FunnelQuery) -> Funnel:
            return Funnel(
                steps=[
                    FunnelStepResult(
                        name=step.name or "",
                        people=sum(self.counts[node.event] for node in step.any_of),
                        conversion_from_start=None,
                        conversion_from_previous=None,
                    )
                    for step in query.steps
                ]
            )

        @app.put("/internal/v1/stage-models/{model_id}")
        async def stages(model_id: str, body: StageModel) -> dict[str, Any]:
            self.stage_models[model_id] = body
            return {}

        return app

    async def __aenter__(self) -> "Neighbours":
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        config = uvicorn.Config(self.app(), lifespan="off", log_level="warning")
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._task
        self._listener.close()
