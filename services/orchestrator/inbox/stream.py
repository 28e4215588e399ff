"""An inbox as server-sent events: what came or was marked, from where the client stopped.

The wire form is that of the HTML standard, "Server-sent events".
"""

from collections.abc import AsyncIterator
from uuid import UUID

from services.kit.feeds import Bell
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.waiting import came
from services.orchestrator.inbox import store
from services.orchestrator.inbox.model import InboxItem
from services.orchestrator.inbox.service import bell as bell_of

HEARTBEAT_SECONDS = 15.0
"""Also how late a change is that another process made."""
BATCH = 100
_HEARTBEAT = b": still here\n\n"


async def events(
    maker: SessionMaker, bell: Bell, workspace_id: UUID, profile_id: UUID, after: int | None
) -> AsyncIterator[bytes]:
    """Until the client goes or the process is about to end. ``after``: the last event the client
    has; None begins with what comes from now on."""
    name = bell_of(workspace_id, profile_id)
    try:
        async with workspace_tx(maker, workspace_id) as session:
            latest = await store.latest_seq(session, profile_id)
        if after is None:
            after = latest
        elif after > latest:
            # Of another inbox, such as that of somebody merged: begin anew.
            after = 0
        # At once, so that the client knows where it stands before anything happens.
        yield f"id: {after}\nevent: ready\ndata: {{}}\n\n".encode()
        while not bell.closed:
            rung = bell.listen(name)
            async with workspace_tx(maker, workspace_id) as session:
                rows = await store.changes(session, profile_id, after, BATCH)
                unread = await store.unread(session, profile_id) if rows else 0
            for row in rows:
                item = InboxItem.model_validate(row).model_dump_json()
                after = row.seq
                yield f"id: {after}\nevent: item\ndata: {item}\n\n".encode()
            if rows:
                yield f'event: unread\ndata: {{"unread": {unread}}}\n\n'.encode()
            elif not await came(rung, HEARTBEAT_SECONDS):
                yield _HEARTBEAT
    finally:
        # Else the bell would remember whoever once listened. Others of the person look again.
        bell.ring(name)
