"""The SMTP sink notes what it accepts."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage

from infra.demo.sink import Received, Sink


def test_every_message_is_noted_with_its_ids_and_repetitions_are_seen() -> None:
    with Sink() as sink, smtplib.SMTP("127.0.0.1", sink.port, "client.invalid") as client:
        for number in (1, 2, 2):
            message = EmailMessage()
            message["From"], message["To"] = "a@example.invalid", "b@example.invalid"
            message["Message-ID"] = f"<{number}@example.invalid>"
            message["X-Waymark-Message-Id"] = f"id-{number}"
            message.set_content("Grüße")
            client.send_message(message)
    assert sink.received == [
        Received("b@example.invalid", f"<{number}@example.invalid>", f"id-{number}")
        for number in (1, 2, 2)
    ]
    assert sink.repeated() == ["<2@example.invalid>"]
