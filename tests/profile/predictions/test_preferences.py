"""Send times and channels: what a person does counts the more, the more of it there is."""

import numpy as np
import pyarrow as pa
import pytest

from services.profile.predictions import preferences
from services.profile.predictions.frame import NotEnoughData

Rows = list[tuple[str, int, int]]


def hours(rows: Rows) -> pa.Table:
    ids, hour, events = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "profile_id": pa.array(ids, pa.string()),
            "hour": pa.array(hour, pa.float64()),
            "events": pa.array(events, pa.float64()),
        }
    )


def crowd(own: int, seed: int) -> Rows:
    """200 people: half of what each does is in the hour of the crowd, ``own`` in one of theirs."""
    random = np.random.default_rng(seed)
    rows = []
    for i in range(200):
        rows += [(f"p{i}", 20, 10), (f"p{i}", (i * 7) % 168, own)]
        rows += [(f"p{i}", int(h), 1) for h in random.integers(0, 168, 3)]
    return rows


def test_those_with_habits_of_their_own_get_their_own_hour() -> None:
    result = preferences.send_time(hours(crowd(40, 1)), hours(crowd(40, 2)))
    assert result.columns["value"][:100].tolist() == [(i * 7) % 168 for i in range(100)]
    judged = result.metrics["judged"]
    assert judged["own_hour_hit_rate"] > 2 * judged["everybodys_hour_hit_rate"]
    value, share = result.columns["value"], result.columns["share"]
    assert (result.columns["weekday"] == value // 24 + 1).all()
    assert (result.columns["hour"] == value % 24).all()
    assert ((result.columns["low"] <= share) & (share <= result.columns["high"])).all()


def test_a_single_event_does_not_outweigh_what_everybody_does() -> None:
    before = [*crowd(0, 3), ("newcomer", 99, 1)]
    result = preferences.send_time(hours(before), hours(crowd(0, 4)))
    at = result.ids.to_pylist().index("newcomer")
    assert result.columns["value"][at] == 20
    assert result.metrics["judged"]["prior_events"] == max(preferences.PRIORS)


def test_a_short_history_is_not_judged_and_an_empty_one_refused() -> None:
    result = preferences.send_time(hours([]), hours([("a", 3, 200)]))
    assert result.metrics["judged"] is None
    assert result.columns["value"].tolist() == [3]
    with pytest.raises(NotEnoughData, match="There are 5 such events"):
        preferences.send_time(hours([("a", 3, 5)]), hours([]))


def test_a_channel_is_preferred_once_enough_messages_say_so() -> None:
    rows = [(f"p{i}", c, 10.0, e) for i in range(100) for c, e in (("email", 2.0), ("sms", 5.0))]
    rows += [("fan", "email", 30.0, 28.0), ("fan", "sms", 30.0, 3.0), ("new", "email", 1.0, 1.0)]
    ids, channel, sent, engaged = map(list, zip(*rows, strict=True))
    result = preferences.channel(
        pa.table({"profile_id": ids, "channel": channel, "sent": sent, "engaged": engaged})
    )
    found = dict(zip(result.ids.to_pylist(), result.columns["value"], strict=True))
    assert found["fan"] == "email"
    assert found["new"] == "sms", "one opened mail is no habit"
    assert found["p0"] == "sms"
    rates = {c["channel"]: c["rate"] for c in result.metrics["channels"]}
    assert rates == {
        "email": pytest.approx(0.2229, abs=1e-3),
        "sms": pytest.approx(0.4884, abs=1e-3),
    }
    at = result.ids.to_pylist().index("fan")
    low, rate, high = (result.columns[name][at] for name in ("low", "rate", "high"))
    # (28 + 10·0.2225) / 40, and the ends of that Beta.
    assert rate == pytest.approx(0.7557, abs=2e-3)
    assert low < rate < high
    assert (low, high) == pytest.approx((0.666, 0.840), abs=0.01)
