"""Wires the orchestrator. Run: ``uvicorn services.orchestrator.main:create_app --factory``."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypedDict
from uuid import UUID

import structlog
from fastapi import FastAPI, Request

from services.kit import app as kit
from services.kit import postgres
from services.kit.auth import TokenSigner
from services.kit.feeds import Bell, FeedClient
from services.kit.guard import webhook_client
from services.kit.http import ServiceClient
from services.orchestrator.channels import routes as channels
from services.orchestrator.delivery.port import Tools
from services.orchestrator.delivery.sender import Sender
from services.orchestrator.devices import routes as devices
from services.orchestrator.engine.execute import Executor
from services.orchestrator.engine.library import Library
from services.orchestrator.entries import routes as entries
from services.orchestrator.erasure import routes as erasure
from services.orchestrator.experiments import routes as experiments
from services.orchestrator.holdouts import routes as holdouts
from services.orchestrator.impact import routes as impact
from services.orchestrator.inbox import routes as inbox
from services.orchestrator.interventions import routes as interventions
from services.orchestrator.journey_files import routes as journey_files
from services.orchestrator.journeys import routes as journeys
from services.orchestrator.journeys.registering import Neighbours
from services.orchestrator.maps import routes as maps
from services.orchestrator.message_templates import routes as message_templates
from services.orchestrator.messages import gate_routes as gate
from services.orchestrator.messages import routes as messages
from services.orchestrator.policies import routes as policies
from services.orchestrator.receipts import callback_routes as callbacks
from services.orchestrator.receipts import routes as receipts
from services.orchestrator.receipts import tracking_routes as tracked_links
from services.orchestrator.receipts.recorder import Recorder
from services.orchestrator.receipts.tokens import TokenKey, callback_url
from services.orchestrator.replay import routes as replays
from services.orchestrator.replay.run import Replayer
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.suppressions import routes as suppressions
from services.orchestrator.tasks import routes as tasks
from services.orchestrator.times import Clock, system_clock
from services.orchestrator.workers import Engine, Workers

log = structlog.get_logger(__name__)

DESCRIPTION = """Journeys and what they send, and journey maps.

A **journey** is a graph with an entry and nodes. Save it as a draft, try it with `replay` over past
events, `publish` it: publishing makes an immutable version that people enter from then on.
What journeys send goes through **channels** with **message templates**, and every message, sent or
not, stands in the ledger under `/api/v1/messages`."""


class State(TypedDict):
    sessionmaker: postgres.SessionMaker
    signer: TokenSigner
    profile: ServiceClient
    tracking: ServiceClient
    neighbours: Neighbours
    workers: Workers
    tokens: TokenKey
    recorder: Recorder
    inbox_bell: Bell


def create_app(
    settings: OrchestratorSettings | None = None,
    *,
    clock: Clock = system_clock,
    background: bool = True,
) -> FastAPI:
    """``background=False`` leaves the loops to the caller, who steps them by hand."""
    settings = settings or OrchestratorSettings()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        signer = TokenSigner("orchestrator", settings.signing_key.get_secret_value())
        database = postgres.create_engine(settings)
        maker = postgres.create_sessionmaker(database)
        profile = ServiceClient("profile", settings.profile_url, signer)
        store = ServiceClient("tracking", settings.tracking_store_url, signer)
        ingest = ServiceClient("tracking", settings.tracking_ingest_url, signer)
        assessment = ServiceClient("assessment", settings.assessment_url, signer)
        webhooks = webhook_client(allow_private=settings.allow_private_webhooks)
        library = Library()
        tokens = TokenKey(settings.link_key.get_secret_value())
        recorder = Recorder(maker)
        inbox_bell = Bell()
        sender = Sender(
            maker,
            clock,
            Tools(
                webhooks,
                settings.smtp_concurrency,
                _callback_url(settings, tokens),
                inbox_bell,
                settings.allow_private_webhooks,
            ),
            library,
            expire_after_ms=1_000 * settings.message_expiry_seconds,
        )
        engine = Engine(
            maker=maker,
            clock=clock,
            feed=FeedClient(profile, "/internal/v1/feed"),
            executor=Executor(
                maker, profile, library, settings.public_url, tokens, settings.block_participants
            ),
            sender=sender,
            tracking_ingest=ingest,
            replayer=Replayer(maker, profile, store, settings.public_url, settings.replay_batch),
            feed_wait_seconds=settings.feed_wait_seconds,
            wait_grace_ms=int(1_000 * settings.wait_grace_seconds),
        )
        workers = Workers(engine, settings.discovery_seconds)
        tasks_running = (
            [asyncio.create_task(workers.run()), asyncio.create_task(recorder.run())]
            if background
            else []
        )
        for task in tasks_running:
            task.add_done_callback(_end_with)
        try:
            yield {
                "sessionmaker": maker,
                "signer": signer,
                "profile": profile,
                "tracking": store,
                "neighbours": Neighbours(profile, assessment),
                "workers": workers,
                "tokens": tokens,
                "recorder": recorder,
                # The runner closes every bell it finds here before it stops the server.
                "inbox_bell": inbox_bell,
            }
        finally:
            for task in tasks_running:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            sender.close()
            for client in (profile, store, ingest, assessment):
                await client.close()
            await webhooks.aclose()
            await database.dispose()

    app = kit.create_app(
        "orchestrator",
        settings,
        title="Orchestrator",
        description=DESCRIPTION,
        lifespan=lifespan,
        checks={"postgres": _postgres},
    )
    for routes in (
        *(journeys, replays, message_templates, channels, messages, gate, maps),
        *(entries, tasks, impact, erasure, devices, journey_files, experiments),
        *(policies, holdouts, interventions),
        *(receipts, tracked_links, callbacks, suppressions),
    ):
        app.include_router(routes.router)
    for router in (inbox.token_router, inbox.router):
        app.include_router(router)
    return app


def _callback_url(
    settings: OrchestratorSettings, tokens: TokenKey
) -> Callable[[UUID, UUID], str] | None:
    """Providers refuse addresses that are not on the web."""
    if not settings.public_url.startswith("https://"):
        return None
    return partial(callback_url, settings.public_url, tokens)


async def _postgres(request: Request) -> None:
    await postgres.ping(request.state.sessionmaker)


def _end_with(task: asyncio.Task[None]) -> None:
    """A bug in the background work must not leave a process that only looks alive."""
    if not task.cancelled() and task.exception() is not None:
        log.error("background_work_died", exc_info=task.exception())
        os.kill(os.getpid(), signal.SIGTERM)
