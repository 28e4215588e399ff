"""Whatever is down, an acknowledged event is neither lost nor counted twice."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psutil
import pytest

from tests.support.platform import Mailbox, Platform, identify, track
from tests.support.waiting import until

CATCH_UP_S = 60.0


def family(platform: Platform, name: str) -> list[psutil.Process]:
    parent = platform.instance.running(name)
    return [parent, *parent.children(recursive=True)]


@contextmanager
def frozen(platform: Platform, name: str) -> Iterator[None]:
    """The process answers nothing while the block runs, as on a hung machine."""
    stopped = family(platform, name)
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            process.resume()


@pytest.mark.parametrize("name", ["tracking-store", "profile", "orchestrator", "assessment"])
def test_ingestion_goes_on_while_a_service_hangs_and_it_catches_up(
    platform: Platform, mailbox: Mailbox, name: str
) -> None:
    event, user = f"During {uuid4()}", f"u-{uuid4()}"
    platform.email_journey(mailbox, event)
    with frozen(platform, name):
        platform.batch(
            identify(user, email=f"{user}@example.com"), track(user, event, subject=name)
        )
    platform.await_count(event, 1, within=CATCH_UP_S)
    until(lambda: platform.profile(user), within=CATCH_UP_S, what="the profile")
    until(lambda: mailbox.subjects, within=CATCH_UP_S, what="the message")
    assert mailbox.subjects == [name]


@pytest.mark.parametrize(
    "name", ["gateway", "tracking-ingest", "tracking-store", "profile", "orchestrator", "postgres"]
)
def test_a_killed_process_comes_back_and_nothing_is_lost_or_doubled(
    platform: Platform, mailbox: Mailbox, name: str
) -> None:
    event = f"Around {uuid4()}"
    journey_id = platform.email_journey(mailbox, event)
    users = [f"u-{uuid4()}" for _ in range(6)]
    batches = [
        (identify(user, email=f"{user}@example.com"), track(user, event, subject=user))
        for user in users
    ]
    for number, batch in enumerate(batches):
        if number == 3:
            platform.instance.running(name).send_signal(signal.SIGKILL)
        # As an SDK does: the same batch until it is acknowledged.
        until(
            lambda batch=batch: platform.acknowledged(*batch),  # type: ignore[misc]
            within=CATCH_UP_S,
            what="the acknowledgement",
        )
    until(lambda: platform.ready(), within=CATCH_UP_S, what="readiness")
    platform.await_count(event, len(users), within=CATCH_UP_S)
    until(
        lambda: len(platform.settled(journey_id)) == len(users),
        within=CATCH_UP_S,
        what="an end for every message",
    )
    # A mail whose sender or ledger died between hand-over and answer is `unknown` for ever: it
    # came once or never, and nobody sends it again.
    states = platform.settled(journey_id)
    assert set(states) <= {"accepted", "unknown"}
    assert len(set(mailbox.subjects)) == len(mailbox.subjects)
    assert states.count("accepted") <= len(mailbox.subjects) <= len(users)
    if name not in ("orchestrator", "postgres"):
        assert sorted(mailbox.subjects) == sorted(users)


@pytest.mark.parametrize("name", ["postgres", "tracking-ingest"])
def test_without_a_log_the_door_says_when_to_come_back(platform: Platform, name: str) -> None:
    with frozen(platform, name):
        answer = platform.ingest("/v1/track", track("u1", "Refused"))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert {"code", "message"} <= answer.json().keys()
    until(lambda: platform.ready(), within=CATCH_UP_S, what="readiness")
