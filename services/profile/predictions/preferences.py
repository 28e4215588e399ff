"""When and on which channel a person answers best, learnt from what they did. Pure.

Few events say little, so what a person did is shrunk towards what everybody does: it counts as if
the person had done some more things the way everybody does them. How many is learnt for send times
(what would have foretold the last horizon best) and ``PRIOR_MESSAGES`` for channels.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import betaincinv

from services.profile.predictions.frame import NotEnoughData, Result, numbers

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

HOURS = 168
"""Of a week; 0 is Monday 00:00 to 01:00."""
PRIORS = (5.0, 20.0, 80.0, 320.0, 1280.0)
DEFAULT_PRIOR = 80.0
PRIOR_MESSAGES = 10.0
MIN_EVENTS = 100
LOWER, UPPER = 0.1, 0.9
_CHUNK = 20_000


def send_time(before: pa.Table, after: pa.Table) -> Result:
    """The hour of the week with the largest share of a person's events.

    Both tables: ``profile_id``, ``hour`` (of the week), ``events``. What was learnt from ``before``
    is judged by ``after``; the answer comes from both.
    """
    both = pa.concat_tables([before, after])
    ids, counts = _by_person(both)
    total = float(sum(part.sum() for _, part in counts()))
    if total < MIN_EVENTS:
        raise NotEnoughData(f"There are {total:g} such events; {MIN_EVENTS} are needed.")
    everybody = _population(both)
    judged = _judged(before, after)
    prior = judged["prior_events"] if judged else DEFAULT_PRIOR
    best = np.zeros(len(ids), dtype=np.int64)
    columns = {name: np.zeros(len(ids)) for name in ("share", "low", "high", "events")}
    for start, part in counts():
        there = slice(start, start + len(part))
        n = part.sum(axis=1)
        share = _shares(part, everybody, prior)
        best[there] = share.argmax(axis=1)
        top = share.max(axis=1)
        columns["share"][there], columns["events"][there] = np.round(top, 4), n
        columns["low"][there], columns["high"][there] = _beta(top, n + prior)
    metrics = {
        "people": len(ids),
        "events": int(total),
        "everybodys_hour": int(everybody.argmax()),
        "judged": judged,
    }
    told = {"value": best, "weekday": best // 24 + 1, "hour": best % 24}
    return Result(ids, told | columns, metrics)


def _population(table: pa.Table) -> Floats:
    weights = np.bincount(
        numbers(table, "hour").astype(np.int64), numbers(table, "events"), minlength=HOURS
    )
    return np.asarray(weights / max(weights.sum(), 1.0))


def _by_person(table: pa.Table) -> tuple[pa.Array, Any]:
    """Ids, and a function that yields (index of its first person, events by person and hour)."""
    coded = pc.dictionary_encode(table.column("profile_id")).combine_chunks()
    person = np.asarray(coded.indices.to_numpy(), dtype=np.int64)
    order = np.argsort(person, kind="stable")
    person = person[order]
    hour, n = numbers(table, "hour").astype(np.int64)[order], numbers(table, "events")[order]
    size = len(coded.dictionary)

    def counts() -> Any:
        for start in range(0, size, _CHUNK):
            first, last = np.searchsorted(person, [start, start + _CHUNK])
            width = min(_CHUNK, size - start)
            flat = (person[first:last] - start) * HOURS + hour[first:last]
            yield start, np.bincount(flat, n[first:last], width * HOURS).reshape(width, HOURS)

    return coded.dictionary, counts


def _shares(counts: Floats, everybody: Floats, prior: float) -> Floats:
    return np.asarray((counts + prior * everybody) / (counts.sum(axis=1) + prior)[:, None])


def _judged(before: pa.Table, after: pa.Table) -> dict[str, float] | None:
    """Share of later events in the hour learnt before, or one next to it: each person's own hour
    under the best of ``PRIORS`` against the hour that is best for everybody."""
    ids, counts = _by_person(before)
    at = pc.fill_null(pc.index_in(after.column("profile_id"), value_set=ids), -1).to_numpy()
    met = at >= 0
    if not met.any():
        return None
    everybody = _population(before)
    hour, n = numbers(after, "hour")[met], numbers(after, "events")[met]

    def hits(foretold: npt.ArrayLike) -> float:
        apart = np.abs(hour - np.asarray(foretold))
        return float(np.average(np.minimum(apart, HOURS - apart) <= 1, weights=n))

    def own(prior: float) -> npt.NDArray[np.generic]:
        best = [_shares(part, everybody, prior).argmax(axis=1) for _, part in counts()]
        return np.asarray(np.concatenate(best)[at[met]])

    rates = {prior: hits(own(prior)) for prior in PRIORS}
    chosen = max(PRIORS, key=lambda prior: (rates[prior], prior))
    return {
        "prior_events": chosen,
        "own_hour_hit_rate": round(rates[chosen], 4),
        "everybodys_hour_hit_rate": round(hits(everybody.argmax()), 4),
    }


def channel(table: pa.Table) -> Result:
    """The channel on which the largest share of a person's messages is answered.

    ``profile_id``, ``channel``, ``sent``, ``engaged``: messages, and how many were answered. A rate
    is the mean of Beta(k·p₀ + engaged, k·(1 − p₀) + sent − engaged), p₀ everybody's there.
    """
    sent, engaged = numbers(table, "sent"), numbers(table, "engaged")
    if sent.sum() < MIN_EVENTS:
        raise NotEnoughData(f"{sent.sum():g} messages were sent; {MIN_EVENTS} are needed.")
    channels = pc.dictionary_encode(table.column("channel")).combine_chunks()
    people = pc.dictionary_encode(table.column("profile_id")).combine_chunks()
    names, kind = channels.dictionary.to_pylist(), np.asarray(channels.indices.to_numpy())
    person = np.asarray(people.indices.to_numpy(), dtype=np.int64)
    all_sent, all_engaged = np.bincount(kind, sent), np.bincount(kind, engaged)
    everybody = (all_engaged + 0.5) / (all_sent + 1)
    # A channel a person was never sent anything on has everybody's rate there.
    own = np.zeros((2, len(people.dictionary), len(names)), dtype=np.float32)
    np.add.at(own[0], (person, kind), sent)
    np.add.at(own[1], (person, kind), engaged)
    weight = own[0] + PRIOR_MESSAGES
    rate = (own[1] + PRIOR_MESSAGES * everybody) / weight
    best = rate.argmax(axis=1)
    rows = np.arange(len(best))
    low, high = _beta(rate[rows, best], weight[rows, best])
    columns = {
        "value": np.array(names, dtype=object)[best],
        "rate": np.round(rate[rows, best], 4).astype(np.float64),
        "low": low,
        "high": high,
        "messages": own[0].sum(axis=1).astype(np.int64),
    }
    told = [
        {
            "channel": name,
            "messages": int(all_sent[index]),
            "engaged": int(all_engaged[index]),
            "rate": round(float(everybody[index]), 4),
            "people": int((best == index).sum()),
        }
        for index, name in enumerate(names)
    ]
    return Result(people.dictionary, columns, {"people": len(best), "channels": told})


def _beta(mean: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Ends of the 80 % interval of Beta distributions of these means and weights."""
    a, b = mean * weight, (1 - mean) * weight
    a, b = np.maximum(a, 1e-6), np.maximum(b, 1e-6)
    return np.round(betaincinv(a, b, LOWER), 4), np.round(betaincinv(a, b, UPPER), 4)
