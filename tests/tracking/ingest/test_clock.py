"""The clock rule: what an event's time becomes."""

import pytest

from services.tracking.ingest.clock import Times, parse, resolve

RECEIVED = 1_795_328_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
STAMP = RECEIVED - 2 * HOUR


@pytest.mark.parametrize(
    ("original", "skew", "server_side", "expected"),
    [
        pytest.param(None, 0, False, Times(RECEIVED, RECEIVED, "received"), id="no time at all"),
        pytest.param(STAMP, None, False, Times(STAMP, STAMP, "original"), id="no sentAt"),
        pytest.param(STAMP, 0, False, Times(STAMP, STAMP, "original"), id="clocks agree"),
        pytest.param(
            STAMP, 5 * MINUTE - 1, False, Times(STAMP, STAMP, "original"), id="just under a step"
        ),
        pytest.param(
            STAMP,
            5 * MINUTE,
            False,
            Times(STAMP - 5 * MINUTE, STAMP, "skew_shifted"),
            id="a step ahead",
        ),
        pytest.param(
            STAMP,
            HOUR + 2 * MINUTE,
            False,
            Times(STAMP - HOUR, STAMP, "skew_shifted"),
            id="shifts are whole steps, rounded",
        ),
        pytest.param(
            STAMP,
            HOUR + 3 * MINUTE,
            False,
            Times(STAMP - HOUR - 5 * MINUTE, STAMP, "skew_shifted"),
            id="rounded up",
        ),
        pytest.param(
            STAMP, HOUR, True, Times(STAMP, STAMP, "original"), id="servers are never corrected"
        ),
        pytest.param(
            STAMP,
            -3 * HOUR,
            False,
            Times(STAMP, STAMP, "original"),
            id="late: a retry from offline, not a slow clock",
        ),
        pytest.param(
            RECEIVED + 1, 0, False, Times(RECEIVED, RECEIVED + 1, "clamped"), id="from the future"
        ),
        pytest.param(
            RECEIVED + HOUR,
            HOUR,
            False,
            Times(RECEIVED, RECEIVED + HOUR, "skew_shifted"),
            id="a fast device's now is our now",
        ),
        pytest.param(
            RECEIVED + 3 * HOUR,
            HOUR,
            False,
            Times(RECEIVED, RECEIVED + 3 * HOUR, "clamped"),
            id="still in the future after the shift",
        ),
        pytest.param(10, HOUR, False, Times(RECEIVED, 10, "received"), id="shifted to before 1970"),
    ],
)
def test_an_event_counts_for_the_time_the_rule_gives(
    original: int | None, skew: int | None, server_side: bool, expected: Times
) -> None:
    sent = None if skew is None else RECEIVED + skew
    assert resolve(original, sent, RECEIVED, server_side) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-22T06:17:14.860+00:00", 1_795_328_234_860),
        ("2026-11-22T06:17:14.860379+00:00", 1_795_328_234_860),
        ("2026-11-22T06:17:14.860Z", 1_795_328_234_860),
        ("2026-11-22T14:17:14.860+08:00", 1_795_328_234_860),
        ("2026-11-22T06:17:14.999999Z", 1_795_328_234_999),
        ("2026-11-22T06:17:14", 1_795_328_234_000),
        ("2020-01-01", 1_577_836_800_000),
        (1_577_836_800, 1_577_836_800_000),
        (1_577_836_800.5, 1_577_836_800_500),
        (1_577_836_800_123, 1_577_836_800_123),
        ("", None),
        (None, None),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("1969-12-31T23:59:59Z", None),
        ("9999-12-31T23:59:59-14:00", None),
        (-5, None),
        (1e300, None),
        (10**40, None),
    ],
)
def test_times_are_read_as_sdks_write_them(value: str | float | None, expected: int | None) -> None:
    assert parse(value) == expected
