"""What every kind of channel is tested with: a provider's server and a message on its way."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from pydantic import TypeAdapter

from services.kit.guard import webhook_client
from services.orchestrator.channels.model import ChannelCreate, stored
from services.orchestrator.channels.store import Target
from services.orchestrator.delivery.port import Tools, Way
from services.orchestrator.delivery.registry import KINDS
from services.orchestrator.delivery.result import Result
from services.orchestrator.messages.model import Claimed
from tests.orchestrator.providers import Provider

NOW = 1_800_000_000_000


@dataclass
class Bench:
    """Sends one message after the other through a channel that the API would take."""

    client: httpx2.AsyncClient
    provider: Provider
    handed_over: list[UUID] = field(default_factory=list)
    held: bool = True

    def way(self, **body: Any) -> Way:
        values = stored(TypeAdapter(ChannelCreate).validate_python({"name": "x", **body}))
        del values["name"]
        target = Target(id=uuid4(), **values)
        return KINDS[target.type].open(target, Tools(self.client, allow_private=True))

    def claim(self, contact: str | None, content: dict[str, Any], **more: Any) -> Claimed:
        values = {
            "id": uuid4(),
            "fence": 1,
            "channel_id": uuid4(),
            "channel_type": "any",
            "purpose": "marketing",
            "attempts": 1,
            "created_at": NOW,
            "profile_id": uuid4(),
            "participant_id": uuid4(),
            **more,
        }
        return Claimed(contact=contact, content=content, **values)

    async def send(self, way: Way, claim: Claimed, now: int = NOW) -> Result:
        asked = len(self.provider.requests)

        async def hand_over(each: Claimed) -> bool:
            self.handed_over.append(each.id)
            return self.held

        result = await way.send(claim, hand_over, now)
        if not self.held:
            assert result == Result("lost_lease")
            assert len(self.provider.requests) == asked
        return result


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    fake = Provider()
    async with fake.serving():
        yield fake


@pytest.fixture
async def bench(provider: Provider) -> AsyncIterator[Bench]:
    async with webhook_client(allow_private=True) as client:
        yield Bench(client, provider)
