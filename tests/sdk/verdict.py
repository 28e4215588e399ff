"""What has to hold of every run, whatever the client."""

import re
from collections import Counter
from datetime import timedelta

from tests.sdk.runs import FAULTS, Client, Outcome
from tests.sdk.story import Event, holds
from tests.support.http_faults import Refuse


def check(client: Client, scenario: str, outcome: Outcome) -> None:
    """Everything stored was said, once and as it was said; nothing is lost that need not be."""
    missing, surplus = _compared(client, outcome)
    assert surplus == [], f"nobody said {surplus}; of what was said is missing {missing}"
    statuses = outcome.statuses
    if scenario == "refused_key":
        assert outcome.events == [], "a refused key stores nothing"
        assert 401 in {each.status for each in outcome.seen}, outcome.seen
        assert set(statuses) == (set() if client.asks_first else {401}), statuses
        # A call or a batch of them per request, none of them tried again.
        assert len(statuses) <= len(client.events), statuses
        return
    met = [fault.status if isinstance(fault, Refuse) else 0 for fault in FAULTS[scenario]]
    if scenario in client.survives:
        assert missing == [], f"lost: {missing}; told: {outcome.end}; {outcome.seen}"
        assert Counter(met) <= Counter(statuses), statuses
    else:
        assert not met or set(met) & set(statuses), statuses
    if scenario == "ok":
        assert outcome.end.errors == [], outcome.end.errors
    _check_envelopes(client, outcome)


def _compared(client: Client, outcome: Outcome) -> tuple[list[Event], list[Event]]:
    """(What is missing, what nobody said), each expected event met by one stored one."""
    missing = [expect(outcome.run) for expect in client.events]
    surplus = []
    for event in outcome.events:
        met = next((one for one in missing if holds(event, one)), None)
        if met is None:
            surplus.append(event)
        else:
            missing.remove(met)
    return missing, surplus


def _check_envelopes(client: Client, outcome: Outcome) -> None:
    ids = Counter(event["message_id"] for event in outcome.events)
    assert set(ids.values()) <= {1}, ids
    strange = [name for name in ids if not re.fullmatch(client.message_ids, name)]
    assert strange == [], f"not {client.message_ids}"
    for event in outcome.events:
        named = event["context"].get("library", {}).get("name", "")
        assert named == client.library, event
        if event["event"] != "Order Completed" and client.library:
            began = outcome.run.began - timedelta(seconds=1)
            assert began < event["occurred_at"] < outcome.ended, event
