"""What may happen to tracking plans."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.problems import InvalidRequest
from services.tracking.errors import TrackingPlanNameTaken, TrackingPlanNotFound
from services.tracking.plans import store
from services.tracking.plans.apply import Plan
from services.tracking.plans.model import Activation, PlanDocument
from services.tracking.plans.schema import check_schema, compile_schema
from services.tracking.sources import store as sources
from services.tracking.sources.store import Setting


def checked(document: PlanDocument) -> dict[str, Any]:
    """The document as it is stored; ``InvalidRequest`` at a schema that cannot be accepted."""
    for name, planned in document.events.items():
        escaped = name.replace("~", "~0").replace("/", "~1")
        if "\x00" in name:
            raise InvalidRequest.at("#/document/events", "U+0000 is not accepted in a name.")
        check_schema(planned.json_schema, f"#/document/events/{escaped}/schema")
        compile_schema(planned.json_schema, closed=True)
    return document.model_dump(mode="json", by_alias=True)


async def create(
    session: AsyncSession,
    workspace_id: UUID,
    plan_id: UUID,
    name: str,
    description: str,
    document: PlanDocument,
) -> None:
    """A plan and its version 1; the same id again adds nothing. ``TrackingPlanNameTaken``."""
    stored = checked(document)
    if not await store.add_plan(session, workspace_id, plan_id, name, description):
        raise TrackingPlanNameTaken(f"There is a tracking plan {name!r} already.")
    found = await store.find(session, plan_id)
    if found is not None and found.latest_version == 0:
        await _add_version(session, workspace_id, plan_id, stored)


async def add_version(
    session: AsyncSession, workspace_id: UUID, plan_id: UUID, document: PlanDocument
) -> int:
    """The number of the new version; ``TrackingPlanNotFound``."""
    return await _add_version(session, workspace_id, plan_id, checked(document))


async def _add_version(
    session: AsyncSession, workspace_id: UUID, plan_id: UUID, document: dict[str, Any]
) -> int:
    version = await store.next_version(session, plan_id)
    if version is None:
        raise _absent(plan_id)
    await store.add_version(session, workspace_id, plan_id, version, document)
    return version


async def activate(
    session: AsyncSession, workspace_id: UUID, plan_id: UUID, source_id: str, body: Activation
) -> Setting:
    """Holds the source to the plan from now on, in place of any other plan."""
    plan = await store.find(session, plan_id)
    if plan is None:
        raise _absent(plan_id)
    version = body.version or plan.latest_version
    if version > plan.latest_version:
        raise TrackingPlanNotFound(f"The plan has no version {version}.")
    channel = {} if body.channel is None else {"channel": body.channel}
    return await sources.set_source(
        session,
        workspace_id,
        source_id,
        plan_id=plan_id,
        plan_version=version,
        mode=body.mode,
        **channel,
    )


async def deactivate(
    session: AsyncSession, workspace_id: UUID, plan_id: UUID, source_id: str
) -> None:
    """Lets the source go; nothing to do where it does not run this plan."""
    if await store.find(session, plan_id) is None:
        raise _absent(plan_id)
    runs = [s.plan_id for s in await sources.settings_of(session, [source_id])]
    if runs == [plan_id]:
        await sources.set_source(
            session, workspace_id, source_id, plan_id=None, plan_version=None, mode=None
        )


async def running(session: AsyncSession, source_ids: Collection[str]) -> dict[str, Plan]:
    """The plans that sources run at this moment, by source."""
    found: dict[str, Plan] = {}
    for setting in await sources.settings_of(session, list(source_ids)):
        if setting.plan_id is None or setting.version is None or setting.mode is None:
            continue
        document = await store.document(session, setting.plan_id, setting.version)
        if document is not None:
            found[setting.source_id] = Plan(
                setting.plan_id, setting.version, setting.mode, document
            )
    return found


def _absent(plan_id: UUID) -> TrackingPlanNotFound:
    return TrackingPlanNotFound(f"No tracking plan {plan_id}.")
