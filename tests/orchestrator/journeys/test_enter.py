"""Who may enter: anchors, barring events and instance keys."""

import pytest

from services.orchestrator.journeys import entries as wire
from services.orchestrator.journeys.compiled import Compiled
from services.orchestrator.journeys.enter import (
    AnchorState,
    admit,
    anchor_key,
    is_barring,
    is_entry,
    observe_anchor,
    observe_barring,
)
from tests.orchestrator.journeys.graphs import compiled, happened, leave


def journey(**entry: object) -> Compiled:
    return compiled(
        leave("end"),
        entry={
            "event": "Viewed",
            "where": {
                "rules": [{"field": "properties.kind", "operator": "in", "value": ["a", "b"]}]
            },
            "anchor": {"event": "Received", "match": ["offer_id"]},
            "unless": {"event": "Done", "match": ["offer_id"]},
            "instance_key": ["offer_id", wire.ANCHOR_KEY],
            **entry,
        },
    )


def test_the_filter_decides_which_events_are_entries() -> None:
    assert is_entry(journey(), happened("Viewed", 1, kind="a"))
    assert not is_entry(journey(), happened("Viewed", 1, kind="c"))
    assert not is_entry(journey(), happened("Seen", 1, kind="a"))


@pytest.mark.parametrize(
    ("received", "done", "viewed", "enters"),
    [
        (None, None, 10, False),
        (5, None, 10, True),
        (10, None, 10, True),
        (11, None, 10, False),
        (5, 4, 10, True),
        (5, 5, 10, False),
        (5, 7, 10, False),
        (5, 10, 10, True),
    ],
)
def test_entry_needs_an_anchor_and_nothing_done_since(
    received: int | None, done: int | None, viewed: int, enters: bool
) -> None:
    state = AnchorState()
    if received is not None:
        observe_anchor(state, happened("Received", received, offer_id="o"))
    if done is not None:
        observe_barring(state, happened("Done", done, offer_id="o"))
    event = happened("Viewed", viewed, offer_id="o", kind="a")
    assert (admit(journey(), event, state) is not None) is enters


def test_a_later_anchor_lifts_the_bar_and_makes_another_instance() -> None:
    state = AnchorState()
    observe_anchor(state, happened("Received", 1, offer_id="o"))
    first = admit(journey(), happened("Viewed", 2, offer_id="o"), state)
    observe_barring(state, happened("Done", 3, offer_id="o"))
    assert admit(journey(), happened("Viewed", 4, offer_id="o"), state) is None
    observe_anchor(state, happened("Received", 5, offer_id="o"))
    second = admit(journey(), happened("Viewed", 6, offer_id="o"), state)
    assert first is not None
    assert second is not None
    assert first.instance_key != second.instance_key
    assert second.anchor_at == 5


def test_of_simultaneous_anchors_the_same_one_stands_in_any_order() -> None:
    anchors = [happened("Received", 1, offer_id="o") for _ in range(3)]
    one, other = AnchorState(), AnchorState()
    for event in anchors:
        observe_anchor(one, event)
    for event in reversed(anchors):
        observe_anchor(other, event)
    assert one == other


def test_what_misses_a_property_of_the_key_belongs_to_no_instance() -> None:
    plain = journey(anchor=None, unless=None, instance_key=["offer_id"])
    assert admit(plain, happened("Viewed", 1, kind="a"), None) is None
    assert anchor_key(journey(), happened("Received", 1)) is None


def test_long_keys_are_kept_short_and_apart() -> None:
    plain = journey(anchor=None, unless=None, instance_key=["offer_id"])
    one = admit(plain, happened("Viewed", 1, offer_id="x" * 500), None)
    two = admit(plain, happened("Viewed", 1, offer_id="x" * 501), None)
    assert one is not None
    assert two is not None
    assert one.instance_key != two.instance_key
    assert len(one.instance_key) < 100


def test_barring_events_may_be_filtered() -> None:
    only = {"rules": [{"field": "properties.total", "operator": ">", "value": 1}]}
    filtered = journey(unless={"event": "Done", "match": ["offer_id"], "where": only})
    assert is_barring(filtered, happened("Done", 1, total=2))
    assert not is_barring(filtered, happened("Done", 1, total=1))
