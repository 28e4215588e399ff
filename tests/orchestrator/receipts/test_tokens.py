"""Tokens of pixels and links: what was changed is nobody's."""

import base64
import random
from uuid import uuid4

import pytest

from services.orchestrator.receipts.tokens import MAX_LENGTH, TokenKey, Tracked

KEY = TokenKey("a key of this test run")
TRACKED = Tracked(uuid4(), uuid4(), 3, "https://shop.example/?a=1&b=ü")


def test_a_token_says_what_it_was_made_of() -> None:
    assert KEY.read("click", KEY.clicked(TRACKED)) == TRACKED
    opened = KEY.opened(TRACKED.workspace_id, TRACKED.message_id)
    assert KEY.read("open", opened) == Tracked(TRACKED.workspace_id, TRACKED.message_id)


def test_a_token_of_one_kind_or_key_is_none_of_another() -> None:
    opened = KEY.opened(TRACKED.workspace_id, TRACKED.message_id)
    assert KEY.read("click", opened) is None
    assert KEY.read("open", KEY.clicked(TRACKED)) is None
    assert TokenKey("another key altogether").read("open", opened) is None


def test_no_changed_token_is_accepted() -> None:
    good, chance = KEY.clicked(TRACKED), random.Random(16)  # noqa: S311
    data = base64.urlsafe_b64decode(good + "=" * (-len(good) % 4))
    for _ in range(10_000):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] ^= chance.randint(1, 255)
        cut = changed[: chance.choice([len(changed), chance.randrange(len(changed))])]
        text = base64.urlsafe_b64encode(bytes(cut)).decode().rstrip("=")
        assert text == good or KEY.read("click", text) is None


@pytest.mark.parametrize("token", ["", "x", "=", "é", "a b", "!" * 40, "A" * (MAX_LENGTH + 1)])
def test_what_is_no_token_is_none(token: str) -> None:
    assert KEY.read("open", token) is None


def test_there_is_one_text_per_token() -> None:
    good = KEY.clicked(TRACKED)
    for other in (good + "=", good + "\n", good[:5] + "!" + good[5:]):
        assert KEY.read("click", other) is None
