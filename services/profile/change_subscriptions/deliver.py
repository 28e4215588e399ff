"""Tells partners of changes: in order, signed, and again until they have it."""

import asyncio
import random
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import structlog

from services.kit.feeds import Bell
from services.kit.guard import ANSWER_SECONDS, AddressRefused
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.signature import signature
from services.profile.change_subscriptions import store
from services.profile.change_subscriptions.store import Subscription
from services.profile.clock import Clock, to_ms
from services.profile.feed import store as feed
from services.profile.feed.public import Entry, entries

log = structlog.get_logger(__name__)

MOST_ENTRIES = 100
"""Of one request."""
GIVE_UP_AFTER = timedelta(days=3)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 3600.0
_ROWS = 20


def subscriptions_bell(workspace_id: UUID) -> str:
    """What is rung when a subscription was made or changed."""
    return f"subscriptions:{workspace_id}"


class Deliveries:
    """All subscriptions of one workspace, each with a pace of its own: one that does not answer
    holds up nobody else."""

    def __init__(
        self,
        maker: SessionMaker,
        client: httpx2.AsyncClient,
        bell: Bell,
        clock: Clock,
        workspace_id: UUID,
    ) -> None:
        self._maker = maker
        self._client = client
        self._bell = bell
        self._clock = clock
        self._workspace_id = workspace_id

    async def run(self) -> None:
        """Follows the feed for each subscription until it is taken away."""
        running: dict[UUID, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                changed = self._bell.listen(subscriptions_bell(self._workspace_id))
                async with workspace_tx(self._maker, self._workspace_id) as session:
                    found = await store.all_of(session, self._workspace_id)
                for each in found:
                    task = running.get(each.subscription_id)
                    if each.state == "active" and (task is None or task.done()):
                        running[each.subscription_id] = tasks.create_task(
                            self._follow(each.subscription_id)
                        )
                await self._clock.wait(changed, None)

    async def _follow(self, subscription_id: UUID) -> None:
        while True:
            rung = self._bell.listen(str(self._workspace_id))
            async with workspace_tx(self._maker, self._workspace_id) as session:
                mine = await store.find(session, self._workspace_id, subscription_id)
                if mine is None or mine.state != "active":
                    return
                after = max(0, mine.offset - 1)
                rows = await feed.read(session, self._workspace_id, after, _ROWS)
            now = self._clock.now()
            if mine.next_attempt_at > now:
                changed = self._bell.listen(subscriptions_bell(self._workspace_id))
                await self._clock.wait(changed, to_ms(mine.next_attempt_at))
                continue
            found = self._portion(mine, list(entries(rows, mine.place, mine.types)))
            if found:
                await self._deliver(mine, found, now)
            elif mine.sent is not None:
                # All that was sent has been erased since.
                await self._keep(
                    mine,
                    offset=mine.sent.offset,
                    entry=mine.sent.entry,
                    sent_offset=None,
                    sent_entry=None,
                )
            elif rows and rows[-1].offset >= mine.offset:
                # Nothing for this partner in there.
                await self._keep(mine, offset=rows[-1].offset + 1, entry=-1)
            else:
                await self._clock.wait(rung, None)

    @staticmethod
    def _portion(mine: Subscription, found: list[Entry]) -> list[Entry]:
        """A request that was sent before ends where it ended then: a partner who has it and goes
        by its id would never look at what came behind."""
        if mine.sent is not None:
            return [entry for entry in found if entry.place <= mine.sent]
        return found[:MOST_ENTRIES]

    async def _deliver(self, mine: Subscription, found: list[Entry], now: datetime) -> None:
        end = found[-1].place
        if mine.sent is None:
            await self._keep(mine, sent_offset=end.offset, sent_entry=end.entry)
        answer = await self._post(mine, found, now)
        if answer.startswith("2"):
            await self._keep(
                mine,
                offset=end.offset,
                entry=end.entry,
                sent_offset=None,
                sent_entry=None,
                attempts=0,
                failing_since=None,
                last_answer=answer,
            )
            return
        since = mine.failing_since or now
        gave_up = now - since >= GIVE_UP_AFTER
        log.warning("changes_not_taken", subscription_id=str(mine.subscription_id), answer=answer)
        await self._keep(
            mine,
            attempts=mine.attempts + 1,
            failing_since=since,
            last_answer=answer,
            state="failed" if gave_up else "active",
            next_attempt_at=now + timedelta(seconds=pause(mine.attempts)),
        )

    async def _keep(self, mine: Subscription, **values: Any) -> None:
        async with workspace_tx(self._maker, self._workspace_id) as session:
            await store.change(session, self._workspace_id, mine.subscription_id, **values)

    async def _post(self, mine: Subscription, found: list[Entry], now: datetime) -> str:
        """The status as text, or why there is none."""
        # The same at each attempt.
        message_id = f"{mine.subscription_id}.{found[0].id}"
        body = msgspec.json.encode({"type": "changes", "items": [_item(each) for each in found]})
        timestamp = int(now.timestamp())
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(mine.secret, message_id, timestamp, body),
        }
        try:
            # The answer's body is not read: nobody needs it, and it could be a bomb.
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                self._client.stream("POST", mine.url, content=body, headers=headers) as response,
            ):
                return str(response.status_code)
        except TimeoutError:
            return "no answer in time"
        except httpx2.ConnectError as error:
            refused = isinstance(error.__cause__, AddressRefused)
            return "address not allowed" if refused else "cannot be reached"
        except httpx2.TransportError as error:
            return type(error).__name__
        except httpx2.InvalidURL:
            # Taken by a version that checked less. Raised on, it would end all work of the
            # workspace, again and again.
            return "address not valid"


def pause(attempts: int) -> float:
    """Seconds until the next attempt after ``attempts`` failed ones before this one."""
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** min(attempts, 20), LONGEST_PAUSE_SECONDS)
    # Spread, so that partners who came back are not met by everybody at once.
    return longest * (0.5 + random.random() / 2)  # noqa: S311


def _item(entry: Entry) -> dict[str, Any]:
    item = asdict(entry)
    del item["place"]
    return item
