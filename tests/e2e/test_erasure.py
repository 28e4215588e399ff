"""A person is copied, erased and kept away by all services together."""

import io
import zipfile
from typing import Any
from uuid import uuid4

from tests.support.platform import Mailbox, Platform, identify, track
from tests.support.waiting import until


def test_a_person_gets_a_copy_is_erased_everywhere_and_stays_away(
    platform: Platform, mailbox: Mailbox
) -> None:
    user, event = f"u-{uuid4()}", f"Cart Left {uuid4()}"
    platform.email_journey(mailbox, event)
    sent = (
        identify(user, email=f"{user}@example.com", first_name="Ada"),
        track(user, event, subject="come back"),
    )
    platform.batch(*sent)
    until(lambda: mailbox.subjects, within=30, what="the message in the mailbox")
    platform.await_count(event, 1)
    profile = platform.profile(user)
    assert profile is not None

    asked = platform.post(f"/profiles/{profile['id']}/export", {})
    path = f"/profile-exports/{asked['id']}"
    until(lambda: platform.get(path)["state"] == "ready", within=60, what="the copy")
    answer = platform.call("GET", f"{path}/file")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert f"{user}@example.com" in files["profile/identifier.json"]
    assert event in files["events.csv"]
    assert "Hello Ada." in files["journeys/message.json"]

    erasure = platform.post(f"/profiles/{profile['id']}/erase", {"reason": "requested"})
    assert platform.profile(user) is None
    until(lambda: platform.count(event) == 0, within=60, what="queries without the person")

    def told() -> dict[tuple[str, str], dict[str, Any]]:
        lines = platform.get(f"/erasures/{erasure['id']}")["stores"]
        return {(line["service"], line["store"]): line for line in lines}

    until(
        lambda: told().get(("orchestrator", "message"), {}).get("state") == "done",
        within=90,
        what="the orchestrator's lines",
    )
    assert told()["orchestrator", "message"]["erased"] == 1
    assert told()["profile", "identifier"]["erased"] >= 2
    until(lambda: ("tracking", "log") in told(), within=90, what="tracking's lines")

    # The same client again, and a new one by the same address.
    platform.batch(*sent, track(user, event, subject="once more"))
    other = f"u-{uuid4()}"
    platform.batch(identify(other, email=f"{user}@example.com"), track(f"w-{user}", event))
    platform.await_count(event, 1)
    assert platform.profile(user) is None
    assert platform.profile(other) is None
    assert mailbox.subjects == ["come back"]
