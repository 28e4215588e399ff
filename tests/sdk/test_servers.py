"""The real clients for servers, each in a process of its own, against a running Waymark."""

import pytest

from tests.sdk import story
from tests.sdk.runs import FAULTS, Client, Outcome, Use, matrix, node, process, python
from tests.sdk.story import Event, Expect, Run, holds
from tests.sdk.verdict import check
from tests.support.platform import Platform
from tests.support.waiting import until

ONLY_OK = frozenset({"ok"})
WITH_429 = frozenset({"ok", "refused_key", "500_twice", "answer_lost", "429"})
SEGMENT: tuple[Expect, ...] = (
    *(story.identify, story.order, story.visit, story.named_page),
    *(story.screen, story.group, story.alias),
)
POSTHOG: tuple[Expect, ...] = (
    *(story.identify, story.order, story.visit, story.page),
    *(story.group_itself, story.alias),
)
JITSU: tuple[Expect, ...] = (story.identify, story.order_now, story.page, story.group)


def cloudevent(name: str) -> Expect:
    def expected(run: Run) -> Event:
        seen = {"type": "track", "event": f"com.example.{name}", "user_id": run.user}
        return story.order(run) | seen | {"message_id": f"com.example.{name}-{run.user}"}

    return expected


def cloudevent_of_visitor(run: Run) -> Event:
    seen = {"event": "com.example.seen", "user_id": "", "anonymous_id": run.visitor}
    return cloudevent("seen")(run) | seen | {"message_id": f"com.example.seen-{run.visitor}"}


UUID4 = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
PACKED, PLAIN = {"gzip": True}, {"gzip": False}

CLIENTS = [
    Client(
        "segment-python", python("segment_python"), "analytics-python", SEGMENT, UUID4, PLAIN,
        in_short=WITH_429,
    ),
    Client(
        "segment-python-gzip", python("segment_python"), "analytics-python", SEGMENT, UUID4, PACKED,
        in_short=ONLY_OK,
    ),
    Client(
        "segment-node", node("segment-node"), "@segment/analytics-node", SEGMENT,
        rf"node-next-\d+-{UUID4}", in_short=WITH_429,
    ),
    Client(
        "segment-node-legacy", node("segment-node-legacy"), "analytics-node", SEGMENT,
        rf"node-[0-9a-f]{{32}}-{UUID4}",
    ),
    Client(
        "rudder-python", python("rudder_python"), "analytics-python", SEGMENT, UUID4, PACKED,
        in_short=WITH_429 | {"413"},
    ),
    Client(
        "rudder-python-plain", python("rudder_python"), "analytics-python", SEGMENT, UUID4, PLAIN,
        in_short=ONLY_OK,
    ),
    Client(
        "rudder-node", node("rudder-node"), "analytics-node", SEGMENT, options=PACKED,
        in_short=WITH_429,
    ),
    Client(
        "rudder-node-plain", node("rudder-node"), "analytics-node", SEGMENT, options=PLAIN,
        in_short=ONLY_OK,
    ),
    Client(
        "posthog-python", python("posthog_python"), "posthog-python", POSTHOG, UUID4, PLAIN,
        in_short=WITH_429,
    ),
    Client(
        "posthog-python-gzip", python("posthog_python"), "posthog-python", POSTHOG, UUID4, PACKED,
        in_short=ONLY_OK,
    ),
    Client(
        "posthog-node", node("posthog-node"), "posthog-node", POSTHOG, UUID4, PACKED,
        survives=frozenset(FAULTS), in_short=WITH_429 | {"413"},
    ),
    Client(
        "posthog-node-plain", node("posthog-node"), "posthog-node", POSTHOG, UUID4, PLAIN,
        in_short=ONLY_OK,
    ),
    Client(
        "jitsu-node", node("jitsu-node"), "@jitsu/js", JITSU, options={"s2s": False},
        survives=ONLY_OK,
    ),
    Client(
        "jitsu-node-s2s", node("jitsu-node"), "@jitsu/js", JITSU, options={"s2s": True},
        survives=ONLY_OK, in_short=ONLY_OK,
    ),
    Client(
        "jitsu-legacy-node", node("jitsu-legacy-node"), "jitsu",
        (story.identify, story.order_now), survives=ONLY_OK,
    ),
    Client(
        "cloudevents-python", python("cloudevents_python"), "",
        (*(cloudevent(name) for name in ("order", "shipped", "paid")), cloudevent_of_visitor),
        survives=ONLY_OK, in_short=frozenset({"ok", "refused_key"}),
    ),
]  # fmt: skip
MATRIX = matrix(CLIENTS)
INTRODUCING = [
    pytest.param(client, "ok", id=client.name)
    for client in CLIENTS
    if story.identify in client.events
]

pytestmark = pytest.mark.usefixtures("node_packages")


@pytest.fixture(scope="module")
def use() -> Use:
    return process


@pytest.mark.parametrize(("client", "scenario"), MATRIX)
def test_each_event_is_stored_once_as_it_was_said(
    client: Client, scenario: str, outcomes: dict[str, Outcome]
) -> None:
    outcome = outcomes[f"{client.name} {scenario}"]
    assert outcome.end.code == 0, outcome.end.output
    check(client, scenario, outcome)


@pytest.mark.parametrize(("client", "scenario"), INTRODUCING)
def test_the_person_is_known_under_all_ids(
    client: Client, scenario: str, outcomes: dict[str, Outcome], platform: Platform
) -> None:
    run = outcomes[f"{client.name} {scenario}"].run
    profile = until(lambda: platform.profile(run.user), within=20, what="the profile")
    assert profile is not None
    assert holds(profile["traits"], run.traits)
    if story.alias in client.events:
        found = platform.get("/profiles", namespace="anonymous_id", value=run.before)
        assert [each["id"] for each in found["items"]] == [profile["id"]]
