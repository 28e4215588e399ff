"""What providers say of messages afterwards: verified, read and written."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import MalformedBody
from services.orchestrator.channels import store as channels
from services.orchestrator.delivery.callbacks import Callback, Said
from services.orchestrator.delivery.registry import KINDS
from services.orchestrator.errors import CallbackNotVerified, LinkNotValid
from services.orchestrator.receipts import service, store


async def take(
    maker: SessionMaker, workspace_id: UUID, channel_id: UUID, callback: Callback, now: int
) -> None:
    """Nothing is written of what is not verified. Written once it returns."""
    async with workspace_tx(maker, workspace_id) as session:
        target = (await channels.targets(session, [channel_id])).get(channel_id)
    callbacks = None if target is None else KINDS[target.type].callbacks
    if target is None or callbacks is None:
        raise LinkNotValid("There is no channel here whose provider says anything.")
    if not callbacks.verify(callback, target.secrets, now):
        raise CallbackNotVerified(
            "The signature is missing, is not this channel's, or is more than five minutes old."
        )
    try:
        said = callbacks.read(callback, now)
    except ValueError as error:
        raise MalformedBody(f"The body is not what the provider sends: {error}") from error
    async with workspace_tx(maker, workspace_id) as session:
        await _write(session, workspace_id, channel_id, said, now)


async def _write(
    session: AsyncSession, workspace_id: UUID, channel_id: UUID, said: Said, now: int
) -> None:
    named = {each.message_id for each in said.receipts} | said.taken
    # A provider speaks of what went through its own channel.
    ours = await store.of_channel(session, channel_id, named)
    receipts = [each for each in said.receipts if each.message_id in ours]
    await service.record(session, workspace_id, receipts, now, counting=False)
    await service.settle(session, workspace_id, {each: each in said.taken for each in ours}, now)
