"""SQL of definitions and priorities: every version with the offset after which it counts."""

from collections import OrderedDict
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.stream import store as stream
from services.profile.traits.definition import TraitDefinition
from services.profile.traits.policy import NOTHING, Policy, Rules
from services.profile.traits.tables import TraitDefinitionRow, TraitSettingRow

# Earlier versions kept the JSON value null of a name that was taken out.
_LATEST = text("""
SELECT name, definition FROM (
  SELECT DISTINCT ON (name) name, definition FROM trait_definition
  WHERE workspace_id = :workspace_id AND name > :after
  ORDER BY name, since_offset DESC
) newest
WHERE jsonb_typeof(definition) = 'object' ORDER BY name LIMIT :limit
""")

_MASKED = text("SELECT name FROM masked_trait WHERE workspace_id = :workspace_id")


class PolicyCache:
    """Policies of the workspaces used last; ``revision`` says when they are stale."""

    def __init__(self, size: int = 100) -> None:
        self._size = size
        self._known: OrderedDict[UUID, tuple[int, Policy]] = OrderedDict()

    async def get(self, session: AsyncSession, workspace_id: UUID, revision: int) -> Policy:
        known = self._known.get(workspace_id)
        if known is None or known[0] != revision:
            known = (revision, await load(session, workspace_id))
            self._known[workspace_id] = known
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        self._known.move_to_end(workspace_id)
        return known[1]

    async def current(self, session: AsyncSession, workspace_id: UUID) -> Policy:
        """For who does not hold the workspace's lock, and with it the revision."""
        place = await stream.place(session, workspace_id)
        return await self.get(session, workspace_id, place.rules_revision)


async def load(session: AsyncSession, workspace_id: UUID) -> Policy:
    definitions = await session.execute(
        select(
            TraitDefinitionRow.since_offset, TraitDefinitionRow.name, TraitDefinitionRow.definition
        )
        .where(TraitDefinitionRow.workspace_id == workspace_id)
        .order_by(TraitDefinitionRow.since_offset)
    )
    settings = await session.execute(
        select(
            TraitSettingRow.since_offset, TraitSettingRow.sources, TraitSettingRow.registered_only
        )
        .where(TraitSettingRow.workspace_id == workspace_id)
        .order_by(TraitSettingRow.since_offset)
    )
    changed: dict[int, dict[str, TraitDefinition | None]] = {}
    for since, name, definition in definitions:
        parsed = None if definition is None else TraitDefinition(name=name, **definition)
        changed.setdefault(since, {})[name] = parsed
    set_to = {since: (sources, registered_only) for since, sources, registered_only in settings}
    versions: list[tuple[int, Rules]] = []
    known: dict[str, TraitDefinition] = {}
    sources, registered_only = NOTHING.priorities, NOTHING.registered_only
    for since in sorted({*changed, *set_to}):
        merged = {**known, **changed.get(since, {})}
        known = {name: each for name, each in merged.items() if each is not None}
        sources, registered_only = set_to.get(since, (sources, registered_only))
        versions.append((since, Rules(known, sources, registered_only)))
    return Policy(versions)


async def page(
    session: AsyncSession, workspace_id: UUID, after: str, limit: int
) -> list[TraitDefinition]:
    """Definitions that count now, by name, after ``after``."""
    parameters = {"workspace_id": workspace_id, "after": after, "limit": limit}
    found = await session.execute(_LATEST, parameters)
    return [TraitDefinition(name=name, **definition) for name, definition in found]


async def find(session: AsyncSession, workspace_id: UUID, name: str) -> TraitDefinition | None:
    """The definition that counts now."""
    definition = await session.scalar(
        select(TraitDefinitionRow.definition)
        .where(TraitDefinitionRow.workspace_id == workspace_id, TraitDefinitionRow.name == name)
        .order_by(TraitDefinitionRow.since_offset.desc())
        .limit(1)
    )
    return None if definition is None else TraitDefinition(name=name, **definition)


async def masked(session: AsyncSession, workspace_id: UUID) -> set[str]:
    """Names of the traits that are not shown."""
    return set(await session.scalars(_MASKED, {"workspace_id": workspace_id}))


async def put(
    session: AsyncSession,
    workspace_id: UUID,
    since_offset: int,
    name: str,
    definition: dict[str, object] | None,
) -> None:
    """``None``: the name is not registered any more."""
    row = insert(TraitDefinitionRow).values(
        workspace_id=workspace_id, name=name, since_offset=since_offset, definition=definition
    )
    await session.execute(
        row.on_conflict_do_update(
            index_elements=["workspace_id", "name", "since_offset"],
            set_={"definition": row.excluded.definition},
        )
    )


async def settings(session: AsyncSession, workspace_id: UUID) -> Rules:
    """Priorities and ``registered_only`` that count now, without definitions."""
    found = await session.execute(
        select(TraitSettingRow.sources, TraitSettingRow.registered_only)
        .where(TraitSettingRow.workspace_id == workspace_id)
        .order_by(TraitSettingRow.since_offset.desc())
        .limit(1)
    )
    row = found.one_or_none()
    return NOTHING if row is None else Rules({}, row.sources, row.registered_only)


async def put_settings(
    session: AsyncSession,
    workspace_id: UUID,
    since_offset: int,
    sources: dict[str, int],
    registered_only: bool,
) -> None:
    row = insert(TraitSettingRow).values(
        workspace_id=workspace_id,
        since_offset=since_offset,
        sources=sources,
        registered_only=registered_only,
    )
    await session.execute(
        row.on_conflict_do_update(
            index_elements=["workspace_id", "since_offset"],
            set_={
                "sources": row.excluded.sources,
                "registered_only": row.excluded.registered_only,
            },
        )
    )
