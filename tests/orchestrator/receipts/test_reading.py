"""What each provider says is read for what it means."""

import hashlib
from collections.abc import Callable
from uuid import uuid4

import pytest

from services.orchestrator.delivery.callbacks import Callback
from services.orchestrator.delivery.registry import KINDS as REGISTERED
from tests.orchestrator.conftest import START
from tests.orchestrator.receipts.says import PERMANENT, as_resend, as_sendgrid, as_twilio

SOFT = {"type": "Transient"}
CLICKED = hashlib.blake2b(b"https://a", digest_size=8).hexdigest()
READ = [
    ("resend", as_resend("email.opened"), [("opened", "")]),
    ("resend", as_resend("email.clicked", click={"link": "https://a"}), [("clicked", CLICKED)]),
    ("resend", as_resend("email.bounced", bounce=PERMANENT), [("bounced", "hard")]),
    (
        "resend",
        as_resend("email.bounced", bounce=SOFT),
        [("bounced", "soft:msg_1")],
    ),
    ("resend", as_resend("email.complained"), [("complained", "")]),
    ("resend", as_resend("email.failed", failed={"reason": "quota"}), [("failed", "")]),
    ("resend", as_resend("email.sent"), []),
    ("resend", as_resend("contact.created"), []),
    ("resend", lambda _: b"{}", []),
    ("resend", lambda _: b'{"type": [], "data": []}', []),
    ("sendgrid", as_sendgrid("open"), [("opened", "")]),
    ("sendgrid", as_sendgrid("open", sg_machine_open=True), [("opened", "automated")]),
    ("sendgrid", as_sendgrid("bounce", type="bounce"), [("bounced", "hard")]),
    ("sendgrid", as_sendgrid("bounce", type="blocked", sg_event_id="e"), [("bounced", "soft:e")]),
    ("sendgrid", as_sendgrid("dropped", reason="Bounced Address"), [("bounced", "hard")]),
    ("sendgrid", as_sendgrid("dropped", reason="Invalid"), [("failed", "")]),
    ("sendgrid", as_sendgrid("spamreport"), [("complained", "")]),
    ("sendgrid", as_sendgrid("unsubscribe"), [("unsubscribed", "")]),
    ("sendgrid", as_sendgrid("deferred", reason="a\x00b"), []),
    ("sendgrid", as_sendgrid("bounce", type="bounce", reason="a\x00b"), [("bounced", "hard")]),
    ("twilio", as_twilio("sent"), []),
    ("twilio", as_twilio("read"), [("opened", "")]),
    ("twilio", as_twilio("undelivered", ErrorCode="30003"), [("bounced", "soft")]),
    ("twilio", as_twilio("failed", ErrorCode="30006"), [("bounced", "hard")]),
    ("twilio", as_twilio("undelivered", ErrorCode="30007"), [("failed", "")]),
    ("twilio", as_twilio("failed", ErrorCode="21610"), [("failed", ""), ("unsubscribed", "")]),
]


@pytest.mark.parametrize(("name", "body_of", "expected"), READ)
def test_what_each_provider_says_is_read(
    name: str, body_of: Callable[[str], bytes], expected: list[tuple[str, str]]
) -> None:
    message_id = uuid4()
    url = f"https://cx.example.org/v1/callbacks/t?message_id={message_id}"
    callbacks = REGISTERED[name].callbacks
    assert callbacks is not None
    callback = Callback(url, {"svix-id": "msg_1"}, body_of(str(message_id)))
    said = callbacks.read(callback, START)
    assert [(each.kind, each.key) for each in said.receipts] == expected
    assert {each.message_id for each in said.receipts} <= {message_id}
    assert all("\x00" not in str(each.detail) for each in said.receipts)


@pytest.mark.parametrize("name", ["resend", "sendgrid", "webhook"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN"])
def test_what_is_no_json_is_refused_as_a_whole(name: str, body: bytes) -> None:
    callbacks = REGISTERED[name].callbacks
    assert callbacks is not None
    with pytest.raises(ValueError, match="JSON"):
        callbacks.read(Callback("https://cx.example.org", {"webhook-id": "1"}, body), START)
