"""Tokens of links: nobody can make or change one (S16)."""

import base64
import random
from uuid import uuid4

import pytest

from services.profile.consents.ledger import Place
from services.profile.consents.links import Link, LinkSigner

SIGNER = LinkSigner("a key of this test run")
LINK = Link("unsubscribe", uuid4(), uuid4(), Place("group:news", "email"))
YEAR_S = 365 * 86_400
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_a_token_says_what_was_signed_and_still_does_years_later() -> None:
    token = SIGNER.token(LINK)
    assert SIGNER.read("unsubscribe", token, 5 * YEAR_S) == LINK
    assert set(token) <= set(ALPHABET)


def test_none_of_ten_thousand_mutated_tokens_is_accepted() -> None:
    token, chance = SIGNER.token(LINK), random.Random(16)  # noqa: S311 - the same mutations in each run
    seen: set[str] = set()
    while len(seen) < 10_000:
        place = chance.randrange(len(token) + 1)
        letter = chance.choice(ALPHABET + "=+/ \n.%é")
        changed = chance.choice(
            [
                token[:place] + letter + token[place + 1 :],
                token[:place] + letter + token[place:],
                token[:place] + token[place + 1 :],
                token[:place],
            ]
        )
        if changed != token:
            seen.add(changed)
    assert [t for t in seen if SIGNER.read("unsubscribe", t, 0) is not None] == []


def test_bits_that_mean_nothing_make_no_second_token() -> None:
    token = SIGNER.token(LINK)
    data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    same = [
        t
        for c in ALPHABET
        if base64.urlsafe_b64decode((t := token[:-1] + c) + "=" * (-len(token) % 4)) == data
    ]
    assert len(same) > 1
    assert [t for t in same if SIGNER.read("unsubscribe", t, 0)] == [token]


@pytest.mark.parametrize("kind", ["preferences", "confirm"])
def test_a_token_of_one_kind_is_none_of_another(kind: str) -> None:
    assert SIGNER.read(kind, SIGNER.token(LINK), 0) is None  # type: ignore[arg-type]


def test_another_key_makes_other_tokens() -> None:
    assert LinkSigner("another key, as long").read("unsubscribe", SIGNER.token(LINK), 0) is None


def test_a_token_that_expires_does() -> None:
    token = SIGNER.token(Link("confirm", LINK.workspace_id, LINK.profile_id, LINK.place, 1000))
    assert SIGNER.read("confirm", token, 1000) is not None
    assert SIGNER.read("confirm", token, 1001) is None
