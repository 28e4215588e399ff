"""Internal tokens: what is accepted and what is refused."""

import base64
import json
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from services.kit.auth import TokenSigner, TokenVerifier, Unauthenticated, generate_key

GATEWAY_PRIVATE, GATEWAY_PUBLIC = generate_key()
OTHER_PRIVATE, _ = generate_key()
FAR = 4_000_000_000


def verifier() -> TokenVerifier:
    return TokenVerifier("profile", {"gateway": GATEWAY_PUBLIC})


def signed(claims: dict[str, object], private: str = GATEWAY_PRIVATE) -> str:
    key = OKPKey.import_key(json.loads(private))
    return jwt.encode({"alg": "Ed25519"}, claims, key, algorithms=["Ed25519"])


def good_claims() -> dict[str, object]:
    return {"iss": "gateway", "aud": "profile", "sub": "user:1", "kind": "user", "exp": FAR}


def test_a_signed_token_names_its_caller() -> None:
    workspace_id = uuid4()
    token = TokenSigner("gateway", GATEWAY_PRIVATE).token(
        "profile",
        kind="user",
        subject="key:1",
        workspace_id=workspace_id,
        scopes=("admin",),
        source_id="s1",
    )
    caller = verifier().verify(token)
    assert (caller.kind, caller.subject, caller.workspace_id) == ("user", "key:1", workspace_id)
    assert caller.scopes == {"admin"}
    assert caller.source_id == "s1"


def _without_signature() -> str:
    def part(value: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part(good_claims())}."


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("a.b.c", id="garbage"),
        pytest.param(_without_signature(), id="alg none"),
        pytest.param(signed(good_claims(), OTHER_PRIVATE), id="unknown key"),
        pytest.param(signed(good_claims() | {"aud": "tracking"}), id="another audience"),
        pytest.param(signed(good_claims() | {"exp": 1_000}), id="expired"),
        pytest.param(
            signed({k: v for k, v in good_claims().items() if k != "exp"}), id="no expiry"
        ),
        pytest.param(signed(good_claims() | {"iss": "tracking"}), id="issuer of another key"),
    ],
)
def test_a_token_that_is_not_meant_for_us_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        verifier().verify(token)


def test_a_signer_reuses_a_token_for_the_same_claims_only() -> None:
    signer = TokenSigner("gateway", GATEWAY_PRIVATE)
    workspace_id = uuid4()
    token = signer.token("profile", workspace_id=workspace_id)
    assert signer.token("profile", workspace_id=workspace_id) == token
    assert signer.token("profile", workspace_id=uuid4()) != token
    assert signer.token("tracking", workspace_id=workspace_id) != token
