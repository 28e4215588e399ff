"""Wires the profile service. Run: ``uvicorn services.profile.main:create_app --factory``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI, Request

from services.kit import app as kit
from services.kit import postgres
from services.kit.auth import TokenSigner
from services.kit.feeds import Bell, FeedClient
from services.kit.garbage import spare_collections
from services.kit.guard import webhook_client
from services.kit.http import ServiceClient
from services.kit.seal import Seal
from services.kit.workers import Workers
from services.profile.account_segments import routes as account_segments
from services.profile.accounts import member_routes as account_members
from services.profile.accounts import routes as accounts
from services.profile.change_subscriptions import routes as change_subscriptions
from services.profile.clock import Clock, SystemClock
from services.profile.computed import routes as computed
from services.profile.consents import routes as consents
from services.profile.consents import workspace_routes as consent_settings
from services.profile.consents.links import LinkSigner
from services.profile.consents.service import Desk
from services.profile.erasure import routes as erasures
from services.profile.erasure.personal import Person
from services.profile.erasure.steps import Resources as ErasureResources
from services.profile.erasure.worker import Eraser
from services.profile.evidence import routes as evidence
from services.profile.exports import routes as profile_exports
from services.profile.exports.bundle import Sources
from services.profile.exports.worker import Exporter
from services.profile.facts import routes as facts
from services.profile.feed import public_routes as changes
from services.profile.feed import routes as feed
from services.profile.identity import routes as identity
from services.profile.identity_policy import routes as identity_policy
from services.profile.identity_policy.cache import Policies
from services.profile.lookup import door as lookup
from services.profile.lookup.lookups import Lookups
from services.profile.merges import routes as merges
from services.profile.predictions import clustering_routes as clusterings
from services.profile.predictions import routes as predictions
from services.profile.preferences import routes as preferences
from services.profile.profiles import import_routes as imports
from services.profile.profiles import routes as profiles
from services.profile.rules import routes as rules
from services.profile.rules.service import RuleCache
from services.profile.segments import history_routes as segment_history
from services.profile.segments import list_routes as lists
from services.profile.segments import routes as segments
from services.profile.settings import ProfileSettings
from services.profile.stages import routes as stages
from services.profile.stream.consumer import Resources
from services.profile.stream.say import Speaker
from services.profile.stream.worker import Worker
from services.profile.subscriptions import routes as subscriptions
from services.profile.traits import history_routes as trait_history
from services.profile.traits import routes as traits
from services.profile.traits.store import PolicyCache

DESCRIPTION = """People, who they are, what is known of them and which groups they are in.

Profiles are made by events alone: post events with a `userId` or `anonymousId` and read the
profile here. `traits` come from `identify` calls, identifiers are linked and merged by themselves;
two known people only by a call of yours, and every merge can be undone.
Segments and stages are kept up to date as events arrive, and windows expire by the clock.
Consents are a ledger per purpose, channel and contact point; people change theirs by the links of
messages (`/v1/preferences`, `/v1/unsubscribe`, `/v1/confirm`) without logging in.
"""


class State(TypedDict):
    sessionmaker: postgres.SessionMaker
    signer: TokenSigner
    bell: Bell
    clock: Clock
    rules: RuleCache
    policies: PolicyCache
    identity_policies: Policies
    lookups: Lookups
    tracking: ServiceClient
    ingest: ServiceClient
    orchestrator: ServiceClient
    desk: Desk
    links: LinkSigner
    seal: Seal[Person]
    workers: Workers


async def _database(request: Request) -> None:
    await postgres.ping(request.state.sessionmaker)


async def _workers(request: Request) -> None:
    workers: Workers = request.state.workers
    workers.check()


def create_app(settings: ProfileSettings | None = None, clock: Clock | None = None) -> FastAPI:
    settings = settings or ProfileSettings()
    clock = clock or SystemClock()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        engine = postgres.create_engine(settings)
        signer = TokenSigner("profile", settings.signing_key.get_secret_value())
        tracking = ServiceClient("tracking", settings.tracking_store_url, signer)
        ingest = ServiceClient("tracking", settings.tracking_ingest_url, signer)
        orchestrator = ServiceClient("orchestrator", settings.orchestrator_url, signer)
        seal = Seal(settings.erasure_key.get_secret_value(), Person)
        maker, bell, cache = postgres.create_sessionmaker(engine), Bell(), RuleCache()
        policies, identity_policies = PolicyCache(), Policies()
        log = FeedClient(tracking, "/internal/v1/log")
        partners = webhook_client(allow_private=settings.allow_private_subscriptions)
        resources = Resources(
            *(engine, maker, tracking, log, bell, clock, cache, policies, partners, seal)
        )
        consumers = Worker(
            resources,
            discovery_seconds=settings.discovery_seconds,
            block_rows=settings.block_rows,
        )
        erasing = ErasureResources(maker, seal, tracking, orchestrator, clock)
        eraser = Eraser(erasing, bell, 60 * settings.erasure_rest_minutes)
        exporter = Exporter(Sources(maker, tracking, orchestrator), bell, clock)
        workers = Workers()
        workers.start("consumers", consumers.run)
        workers.start("eraser", eraser.run)
        workers.start("exporter", exporter.run)
        spare_collections()
        yield State(
            sessionmaker=maker,
            signer=signer,
            bell=bell,
            clock=clock,
            rules=cache,
            policies=policies,
            identity_policies=identity_policies,
            lookups=Lookups(maker, identity_policies, clock),
            tracking=tracking,
            ingest=ingest,
            orchestrator=orchestrator,
            desk=Desk(Speaker(ingest, maker, bell), orchestrator, clock),
            links=LinkSigner(settings.link_key.get_secret_value()),
            seal=seal,
            workers=workers,
        )
        await workers.stop()
        for client in (tracking, ingest, orchestrator):
            await client.close()
        await partners.aclose()
        await engine.dispose()

    app = kit.create_app(
        "profile",
        settings,
        title="Profile",
        description=DESCRIPTION,
        lifespan=lifespan,
        checks={"database": _database, "workers": _workers},
    )
    for router in (
        profiles.router,
        imports.router,
        trait_history.router,
        traits.router,
        merges.router,
        identity.router,
        identity_policy.router,
        consents.router,
        consent_settings.router,
        subscriptions.router,
        preferences.router,
        segments.router,
        lists.router,
        segment_history.router,
        segments.internal_router,
        lists.internal_router,
        computed.router,
        stages.router,
        stages.internal_router,
        rules.router,
        facts.router,
        evidence.internal_router,
        feed.router,
        changes.router,
        change_subscriptions.router,
        accounts.router,
        account_members.router,
        account_members.internal_router,
        account_segments.router,
        predictions.router,
        clusterings.router,
        erasures.router,
        profile_exports.router,
    ):
        app.include_router(router)
    lookup.install(app)
    return app
