"""Lookups by identifier that come at the same time, answered by one read."""

import asyncio
from functools import partial
from uuid import UUID

from services.contracts.profile import Profile
from services.kit.postgres import SessionMaker, workspace_tx
from services.profile.clock import Clock, to_ms
from services.profile.identity.nodes import Identifier
from services.profile.identity_policy.cache import Policies
from services.profile.profiles import read

MAX_TOGETHER = 500
"""Lookups per read: as many profiles as a page may have."""


class UnknownNamespace(Exception):
    """The identity policy has no such namespace."""


Asked = list[tuple[Identifier, asyncio.Future[Profile | None]]]
Answers = list[Profile | UnknownNamespace | None]


class Lookups:
    """Those of a workspace that come while a read is under way are the next one's.

    A read begins after everything it answers was asked, so it sees all that was committed before.
    """

    def __init__(self, maker: SessionMaker, policies: Policies, clock: Clock) -> None:
        self._maker = maker
        self._policies = policies
        self._clock = clock
        self._asked: dict[UUID, Asked] = {}
        self._reading: dict[UUID, asyncio.Task[list[Profile | UnknownNamespace | None]]] = {}

    async def find(self, workspace_id: UUID, namespace: str, value: str) -> Profile | None:
        """The living profile with this identifier, in any spelling; sensitive traits are masked.

        Raises ``UnknownNamespace``, and what the database fails with.
        """
        future = asyncio.get_running_loop().create_future()
        self._asked.setdefault(workspace_id, []).append(((namespace, value), future))
        if workspace_id not in self._reading:
            self._start(workspace_id)
        found: Profile | None = await future
        return found

    def _start(self, workspace_id: UUID) -> None:
        waiting = self._asked.pop(workspace_id)
        asked, later = waiting[:MAX_TOGETHER], waiting[MAX_TOGETHER:]
        if later:
            self._asked[workspace_id] = later
        reading = self._read(workspace_id, [name for name, _ in asked])
        task = self._reading[workspace_id] = asyncio.create_task(reading)
        task.add_done_callback(partial(self._answer, workspace_id, asked))

    def _answer(
        self,
        workspace_id: UUID,
        asked: Asked,
        task: asyncio.Task[Answers],
    ) -> None:
        del self._reading[workspace_id]
        if workspace_id in self._asked:
            self._start(workspace_id)
        # Who went away meanwhile has cancelled theirs.
        waiting = [future for _, future in asked if not future.done()]
        if task.cancelled():
            for future in waiting:
                future.cancel()
        elif (error := task.exception()) is not None:
            for future in waiting:
                future.set_exception(error)
        else:
            for (_, future), found in zip(asked, task.result(), strict=True):
                if future.done():
                    continue
                if isinstance(found, UnknownNamespace):
                    future.set_exception(found)
                else:
                    future.set_result(found)

    async def _read(self, workspace_id: UUID, names: list[Identifier]) -> Answers:
        async with workspace_tx(self._maker, workspace_id) as session:
            policy = await self._policies.of(session, workspace_id)
            # "" is nobody's.
            normal = [(name, policy.normalise(name, value) or "") for name, value in names]
            owners = await read.find(session, workspace_id, {each for each in normal if each[1]})
            now_ms = to_ms(self._clock.now())
            people = await read.read(session, workspace_id, set(owners.values()), now_ms)
        by_id = {person.id: person for person in people}
        found = {each: by_id[owner] for each, owner in owners.items() if owner in by_id}
        return [
            found.get(each) if each[0] in policy.names else UnknownNamespace(each[0])
            for each in normal
        ]
