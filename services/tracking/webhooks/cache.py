"""The webhooks of sources, ready to use, in an ingestion process."""

from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter

from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking.sources.follow import Kept, SourceSettings
from services.tracking.webhooks import store
from services.tracking.webhooks.mapping_model import MappingDocument
from services.tracking.webhooks.signature import Signature
from services.tracking.webhooks.store import StoredWebhook

_MAX_KEPT = 1_000
_Key = tuple[str, int]
"""Source and version; no two webhooks have one version."""
_signature: TypeAdapter[Signature] = TypeAdapter(Signature)


@dataclass(frozen=True, slots=True)
class Webhook:
    """``secrets``: any of them may have signed."""

    signature: Signature
    mapping: MappingDocument
    secrets: list[str]


def ready(stored: StoredWebhook) -> Webhook:
    return Webhook(
        _signature.validate_python(stored.signature),
        MappingDocument.model_validate(stored.mapping),
        [kept["secret"] for kept in stored.secrets.values()],
    )


class Webhooks:
    """``of`` from any request."""

    def __init__(self, maker: SessionMaker, sources: SourceSettings) -> None:
        self._maker = maker
        self._sources = sources
        self._kept = Kept(_MAX_KEPT, self._load)

    async def of(self, workspace_id: UUID, source_id: str) -> Webhook | None:
        """None where the source has none; ``Unavailable`` when that cannot be known."""
        version = (await self._sources.of(workspace_id, source_id)).webhook_version
        if version is None:
            return None
        return await self._kept.get(workspace_id, (source_id, version))

    async def _load(self, workspace_id: UUID, key: _Key) -> Webhook | None:
        async with workspace_tx(self._maker, workspace_id) as session:
            stored = await store.find(session, key[0])
        return None if stored is None else ready(stored)
