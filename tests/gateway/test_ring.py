"""How long the ring believes what the key store said."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from gateway.errors import InvalidKey, KeyStoreUnavailable
from gateway.keys.ring import LOOKUP_SECONDS, REMEMBER_SECONDS, KeyRing
from gateway.keys.secret import Kind, NewKey, generate, parse
from gateway.keys.store import KeyRecord

pytestmark = pytest.mark.anyio


@dataclass
class Store:
    """A key store of one key; the ring's neighbour, not a database."""

    key: NewKey
    revoked: bool = False
    reachable: bool = True
    asked: int = 0
    now: float = 1000.0
    question: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def look_up(self, key_id: UUID) -> KeyRecord | None:
        self.asked += 1
        self.question.set()
        await self.gate.wait()
        if not self.reachable:
            raise ConnectionRefusedError
        if key_id != self.key.id or self.revoked:
            return None
        return KeyRecord(key_id, uuid4(), None, self.key.kind, self.key.digest)

    def clock(self) -> float:
        return self.now


@pytest.fixture
def store() -> Store:
    made = Store(generate("secret"))
    made.gate.set()
    return made


@pytest.fixture
def ring(store: Store) -> KeyRing:
    return KeyRing(store.look_up, store.clock)


async def test_a_revoked_key_stops_within_five_seconds(store: Store, ring: KeyRing) -> None:
    await ring.find(store.key.text)
    store.revoked = True
    store.now += 5.0 - LOOKUP_SECONDS
    with pytest.raises(InvalidKey):
        await ring.find(store.key.text)


async def test_a_known_key_is_asked_for_once(store: Store, ring: KeyRing) -> None:
    for _ in range(3):
        await ring.find(store.key.text)
        store.now += REMEMBER_SECONDS / 4
    assert store.asked == 1


async def test_many_callers_ask_once(store: Store, ring: KeyRing) -> None:
    store.gate.clear()
    calls = [asyncio.create_task(ring.find(store.key.text)) for _ in range(20)]
    first = calls[0]
    await store.question.wait()
    first.cancel()
    store.gate.set()
    done = await asyncio.gather(*calls[1:])
    assert store.asked == 1
    assert {record.id for record in done} == {store.key.id}


async def test_an_unreachable_store_is_never_a_wrong_key(store: Store, ring: KeyRing) -> None:
    store.reachable = False
    with pytest.raises(KeyStoreUnavailable):
        await ring.find(store.key.text)
    store.reachable = True
    assert (await ring.find(store.key.text)).id == store.key.id


async def test_guesses_are_remembered_too(store: Store, ring: KeyRing) -> None:
    guess = generate("secret").text
    for _ in range(3):
        with pytest.raises(InvalidKey):
            await ring.find(guess)
    assert store.asked == 1


async def test_a_key_revoked_here_stops_at_once(store: Store, ring: KeyRing) -> None:
    await ring.find(store.key.text)
    store.revoked = True
    ring.forget(store.key.id)
    with pytest.raises(InvalidKey):
        await ring.find(store.key.text)


async def test_a_secret_key_does_not_pass_as_a_write_key(store: Store, ring: KeyRing) -> None:
    with pytest.raises(InvalidKey):
        await ring.find("wk" + store.key.text[2:])


@pytest.mark.parametrize("kind", ["write", "secret"])
def test_generated_keys_parse_back(kind: Kind) -> None:
    new = generate(kind)
    key = parse(new.text)
    assert key is not None
    assert (key.kind, key.id, key.digest) == (kind, new.id, new.digest)


@pytest.mark.parametrize(
    "text", ["", "wk_", "wk_" + "0" * 32, "xk_" + "0" * 32 + "_" + "a" * 43, "wk_\x00", "ключ"]
)
def test_what_is_no_key_costs_no_look_up(text: str) -> None:
    assert parse(text) is None
