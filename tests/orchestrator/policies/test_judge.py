"""Quiet hours, windows of caps and the arbiter, as plain functions."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from services.orchestrator.policies import judge
from services.orchestrator.policies.judge import Rival, Uses, Waiting
from services.orchestrator.policies.model import PoliciesDocument
from services.orchestrator.times import to_ms

PERSON = uuid4()


def ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


def message(number: int = 1, **more: Any) -> Waiting:
    values: dict[str, Any] = {
        "id": UUID(int=number),
        "journey_id": UUID(int=100),
        "profile_id": PERSON,
        "channel_id": UUID(int=300),
        "medium": "email",
        "contact": "a@example.com",
        "zone": "Asia/Shanghai",
        "tags": frozenset(),
        "priority": 50,
        "created_at": 0,
        "reserved": (),
    }
    return Waiting(**(values | more))


def document(**more: Any) -> PoliciesDocument:
    return PoliciesDocument.model_validate({"default_zone": "Europe/Berlin", **more})


QUIET = {"start": "21:00", "end": "08:00", "spread_minutes": 0}


@pytest.mark.parametrize(
    ("zone", "at", "until"),
    [
        ("Asia/Shanghai", "2026-11-27T12:59:59", None),
        ("Asia/Shanghai", "2026-11-27T13:00:00", "2026-11-28T00:00:00"),
        ("Asia/Shanghai", "2026-11-27T23:59:59", "2026-11-28T00:00:00"),
        ("Asia/Shanghai", "2026-11-28T00:00:00", None),
        # Of nobody's zone: Berlin, an hour ahead of UTC in winter.
        (None, "2026-11-27T20:30:00", "2026-11-28T07:00:00"),
        # The night in which the clocks go back is an hour longer.
        ("Europe/Berlin", "2026-10-24T20:00:00", "2026-10-25T07:00:00"),
        ("America/New_York", "2026-11-27T20:30:00", None),
    ],
)
def test_quiet_hours_are_those_of_the_persons_zone(
    zone: str | None, at: str, until: str | None
) -> None:
    found = judge.quiet_until(message(zone=zone), document(quiet_hours=QUIET), ms(at))
    assert found == (None if until is None else ms(until))


def test_quiet_hours_over_midnight_belong_to_the_day_on_which_they_start() -> None:
    friday = document(quiet_hours={**QUIET, "weekdays": [5]})
    shanghai = message()
    assert judge.quiet_until(shanghai, friday, ms("2026-11-26T20:00:00")) is None
    assert judge.quiet_until(shanghai, friday, ms("2026-11-27T20:00:00")) is not None
    assert judge.quiet_until(shanghai, friday, ms("2026-11-28T14:00:00")) is None


def test_quiet_hours_may_be_those_of_some_media() -> None:
    texts = document(quiet_hours={**QUIET, "media": ["sms"]})
    assert judge.quiet_until(message(), texts, ms("2026-11-27T20:00:00")) is None
    assert judge.quiet_until(message(medium="sms"), texts, ms("2026-11-27T20:00:00")) is not None


def released(number: int = 1_000, **hours: Any) -> list[int]:
    """After how many ms each of so many goes."""
    quiet = document(quiet_hours={**QUIET, **hours}).quiet_hours
    assert quiet is not None
    found = [judge.release_at(UUID(int=n), quiet, 0, n) for n in range(number)]
    assert found == [judge.release_at(UUID(int=n), quiet, 0, n) for n in range(number)]
    return found


def test_what_waited_goes_out_over_some_minutes_each_at_its_own_moment() -> None:
    found = released(spread_minutes=10)
    assert all(0 <= each < 600_000 for each in found)
    minutes = Counter(each // 60_000 for each in found)
    assert len(minutes) == 10
    assert min(minutes.values()) > 60


def test_a_rate_lets_no_more_go_in_any_minute_from_the_opening() -> None:
    found = released(per_minute=300)
    minutes = Counter(each // 60_000 for each in found)
    assert minutes == {0: 300, 1: 300, 2: 300, 3: 100}
    assert len(set(found)) > 900


def reserved(
    cap: dict[str, Any], times: list[str], at: str, **more: Any
) -> tuple[bool, int | None]:
    """Whether a further message goes, and when it would otherwise."""
    caps = document(caps=[{"name": "c", **cap}])
    uses: dict[tuple[str, str], Uses] = {
        (subject, "c"): {str(n): ms(each) for n, each in enumerate(times)}
        for subject in (str(PERSON), "a@example.com")
    }
    found = judge.reserve([message(**more)], caps, uses, ms(at))
    refused = found.refused.get(UUID(int=1))
    return UUID(int=1) in found.granted, None if refused is None else refused[1]


DAYS = ["2026-11-27T10:00:00", "2026-11-27T15:00:00"]


@pytest.mark.parametrize(
    ("at", "room_at"),
    [
        ("2026-11-27T15:00:01", "2026-11-28T10:00:00"),
        ("2026-11-28T09:59:59", "2026-11-28T10:00:00"),
        ("2026-11-28T10:00:00", None),
    ],
)
def test_a_rolling_cap_has_room_when_the_oldest_leaves_its_window(
    at: str, room_at: str | None
) -> None:
    found = reserved({"limit": 2, "rolling_seconds": 86_400}, DAYS, at)
    assert found == (room_at is None, None if room_at is None else ms(room_at))


@pytest.mark.parametrize(
    ("unit", "at", "room_at"),
    [
        # 15:00 UTC is 23:00 in Shanghai, whose day begins at 16:00 UTC.
        ("day", "2026-11-27T15:30:00", "2026-11-27T16:00:00"),
        ("day", "2026-11-27T16:00:00", None),
        ("week", "2026-11-28T00:00:00", "2026-11-29T16:00:00"),
        ("week", "2026-11-29T16:00:00", None),
        ("month", "2026-11-28T00:00:00", "2026-11-30T16:00:00"),
        ("month", "2026-11-30T16:00:00", None),
    ],
)
def test_a_calendar_cap_begins_anew_in_the_persons_zone(
    unit: str, at: str, room_at: str | None
) -> None:
    found = reserved({"limit": 2, "calendar": unit}, DAYS, at)
    assert found == (room_at is None, None if room_at is None else ms(room_at))


def test_caps_count_only_what_they_are_about() -> None:
    full = {"limit": 2, "rolling_seconds": 864_000}
    at = "2026-11-28T00:00:00"
    assert not reserved(full, DAYS, at)[0]
    assert reserved({**full, "media": ["sms"]}, DAYS, at)[0]
    assert reserved({**full, "tags": ["offer"]}, DAYS, at)[0]
    assert not reserved({**full, "tags": ["offer"]}, DAYS, at, tags=frozenset({"offer"}))[0]
    assert not reserved({**full, "per": "address"}, DAYS, at)[0]
    assert reserved({**full, "per": "address"}, DAYS, at, contact=None)[0]


def test_a_message_counts_in_all_of_its_caps_or_in_none() -> None:
    caps = document(
        caps=[
            {"name": "wide", "limit": 5, "calendar": "day"},
            {"name": "tight", "limit": 1, "calendar": "day"},
        ]
    )
    uses: dict[tuple[str, str], Uses] = {(str(PERSON), name): {} for name in ("wide", "tight")}
    found = judge.reserve([message(n) for n in (1, 2, 3)], caps, uses, ms(DAYS[0]))
    assert list(found.granted) == [UUID(int=1)]
    assert {cap.name for cap, _ in found.refused.values()} == {"tight"}
    assert {name: len(each) for (_, name), each in uses.items()} == {"wide": 1, "tight": 1}


def test_what_is_tried_again_counts_once_as_of_the_last_try() -> None:
    caps = document(caps=[{"name": "c", "limit": 1, "rolling_seconds": 3_600}])
    key = str(PERSON), "c"
    first, last = ms("2026-11-27T10:00:00"), ms("2026-11-27T10:59:00")
    uses: dict[tuple[str, str], Uses] = {key: {str(UUID(int=1)): first}}
    again = judge.reserve([message(reserved=(key,)), message(2)], caps, uses, last)
    assert list(again.granted) == [UUID(int=1)]
    assert uses == {key: {str(UUID(int=1)): last}}


@pytest.mark.parametrize("keyed", [False, True])
def test_what_may_have_gone_out_keeps_its_place_when_it_is_refused(keyed: bool) -> None:
    caps = document(caps=[{"name": "c", "limit": 1, "calendar": "day"}])
    key, at = (str(PERSON), "c"), ms(DAYS[0])
    uses: dict[tuple[str, str], Uses] = {key: {str(UUID(int=1)): at - 1, "other": at}}
    found = judge.reserve([message(reserved=(key,), keyed=keyed)], caps, uses, at)
    assert list(found.refused) == [UUID(int=1)]
    assert uses[key].get(str(UUID(int=1))) == (at - 1 if keyed else None)


def test_no_more_is_kept_of_uses_than_can_decide_anything() -> None:
    now = ms("2026-11-27T10:00:00")
    many = {str(n): now - n for n in range(1_500)}
    assert judge.kept(many, now) == {str(n): now - n for n in range(1_000)}
    assert judge.kept({"old": now - 32 * 86_400_000, "new": now}, now) == {"new": now}


def test_the_best_journey_goes_by_priority_then_worth_then_time() -> None:
    mine = message(5, created_at=10)
    other = UUID(int=200)

    def beaten(worth: dict[UUID, float] | None = None, **rival: Any) -> bool:
        values: dict[str, Any] = {
            "journey_id": other,
            "priority": 50,
            "created_at": 10,
            "id": UUID(int=9),
        }
        return judge.winner(mine, [Rival(**(values | rival))], worth or {}) is not None

    assert beaten(priority=51)
    assert not beaten(priority=49)
    assert beaten({other: 2.0, mine.journey_id: 1.0})
    assert not beaten({other: 1.0, mine.journey_id: 2.0})
    assert beaten(created_at=9)
    assert not beaten(created_at=11)
    assert beaten(id=UUID(int=4))
    assert not beaten()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"quiet_hours": QUIET, "default_zone": None}, "`default_zone` is needed"),
        ({"quiet_hours": {**QUIET, "end": "21:00"}}, "would never end"),
        ({"quiet_hours": {"start": "09:00", "end": "08:00", "spread_minutes": 61}}, "60 minutes"),
        ({"caps": [{"name": "c", "limit": 1}]}, "exactly one of"),
        ({"caps": [{"name": "c", "limit": 1, "calendar": "day"}] * 2}, "same name"),
    ],
)
def test_documents_that_mean_nothing_are_refused(bad: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        document(**bad)
