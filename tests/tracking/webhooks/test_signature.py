"""Signatures of partners' webhooks, by the schemes' own published examples where there are any."""

import base64
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.tracking.webhooks.signature import NotSigned, Signature, delivery_id, verify
from tests.tracking.webhooks.support import SECRET, STANDARD, standard

NOW = 1_795_595_400
BODY = b'{"a": 1}'
_scheme: TypeAdapter[Signature] = TypeAdapter(Signature)
STRIPE = {"scheme": "timestamped-hmac", "header": "Stripe-Signature"}
SHOP = {"scheme": "hmac", "header": "X-Shopify-Hmac-SHA256", "encoding": "base64"}


def accepted(
    scheme: dict[str, Any],
    headers: dict[str, str],
    body: bytes = BODY,
    secrets: tuple[str, ...] = ("a secret",),
    now: int = NOW,
) -> bool:
    try:
        verify(_scheme.validate_python(scheme), secrets, headers, body, now * 1000)
    except NotSigned:
        return False
    return True


def mac(body: bytes = BODY, secret: bytes = b"a secret", algorithm: str = "sha256") -> bytes:
    return hmac.new(secret, body, algorithm).digest()


def test_the_published_example_of_standard_webhooks_is_accepted() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    body = b'{"test": 2432232314}'
    assert accepted(STANDARD, headers, body, (secret,), 1614265330 + 299)
    assert not accepted(STANDARD, headers, body, (secret,), 1614265330 + 301)
    assert not accepted(STANDARD, headers, body, (secret,), 1614265330 - 301)
    assert not accepted(STANDARD, headers, b'{"test": 2432232315}', (secret,), 1614265330)
    svix = {name.replace("webhook-", "svix-"): value for name, value in headers.items()}
    assert accepted(STANDARD, svix, body, (secret,), 1614265330)
    assert delivery_id(_scheme.validate_python(STANDARD), svix) == headers["webhook-id"]


def test_one_of_several_signatures_and_secrets_is_enough() -> None:
    made = standard(BODY, at=NOW)
    made["webhook-signature"] = "v1a,AAAA v1,AAAA " + made["webhook-signature"]
    other = "whsec_" + base64.b64encode(b"x" * 24).decode()
    assert accepted(STANDARD, made, secrets=(other, SECRET))
    assert not accepted(STANDARD, made, secrets=(other,))
    # The id and the time are signed as well.
    for name in ("webhook-id", "webhook-timestamp"):
        assert not accepted(STANDARD, made | {name: str(NOW + 1)}, secrets=(SECRET,))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("prefix", ["", "sha256="])
def test_an_hmac_of_the_body_is_accepted_as_its_sender_writes_it(
    algorithm: str, encoding: str, prefix: str
) -> None:
    digest = mac(algorithm=algorithm)
    text = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    scheme = {
        "scheme": "hmac", "header": "X-Hub-Signature", "algorithm": algorithm,
        "encoding": encoding, "prefix": prefix,
    }  # fmt: skip
    assert accepted(scheme, {"x-hub-signature": prefix + text})
    assert not accepted(scheme, {"x-hub-signature": prefix + text}, body=BODY + b" ")
    assert not accepted(scheme, {"x-hub-signature": prefix + text}, secrets=("another",))
    assert not accepted(scheme, {"x-other": prefix + text})
    if prefix:
        assert not accepted(scheme, {"x-hub-signature": text})


def test_a_timestamped_hmac_is_accepted_for_five_minutes() -> None:
    signed = b"%d.%b" % (NOW, BODY)
    good = f"t={NOW},v1={'0' * 64},v1={mac(signed).hex()},v0=x"
    assert accepted(STRIPE, {"stripe-signature": good})
    assert accepted(STRIPE, {"stripe-signature": good}, now=NOW + 300)
    assert not accepted(STRIPE, {"stripe-signature": good}, now=NOW + 301)
    assert not accepted(STRIPE, {"stripe-signature": good.replace(f"t={NOW}", f"t={NOW + 1}")})
    assert not accepted(STRIPE, {"stripe-signature": f"t={NOW},{good}"})
    assert not accepted(STRIPE, {"stripe-signature": f"t={NOW},v0={mac(signed).hex()}"})


def test_no_forgery_of_a_single_byte_is_accepted() -> None:
    made = standard(BODY, at=NOW)
    for at in range(len(BODY)):
        for bit in range(8):
            forged = bytearray(BODY)
            forged[at] ^= 1 << bit
            assert not accepted(STANDARD, made, bytes(forged), (SECRET,))
    signature = bytearray(base64.b64decode(made["webhook-signature"].removeprefix("v1,")))
    for at in range(len(signature)):
        signature[at] ^= 1
        forged_text = "v1," + base64.b64encode(bytes(signature)).decode()
        assert not accepted(STANDARD, made | {"webhook-signature": forged_text}, secrets=(SECRET,))
        signature[at] ^= 1


@given(
    st.sampled_from([STANDARD, STRIPE, SHOP]),
    st.lists(st.text(st.characters(max_codepoint=255)), min_size=3, max_size=3),
    st.binary(),
)
def test_whatever_stands_in_the_headers_is_refused_and_breaks_nothing(
    scheme: dict[str, Any], values: list[str], body: bytes
) -> None:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    headers = dict(zip(names, values, strict=True))
    headers |= {"stripe-signature": f"t={NOW},v1={values[0]}", "x-shopify-hmac-sha256": values[1]}
    assert not accepted(scheme, headers, body, (SECRET,))
    assert not accepted(scheme, headers | {"webhook-timestamp": str(NOW)}, body, (SECRET,))


def test_a_secret_as_text_is_not_its_key() -> None:
    assert not accepted(STANDARD, standard(BODY, SECRET.encode(), at=NOW), secrets=(SECRET,))
