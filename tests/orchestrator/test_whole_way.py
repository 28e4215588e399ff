"""From a published journey and one event in the feed to a mail in the sink and outcomes told."""

import pytest

from services.contracts.orchestrator import JourneyOutcome, MessageOutcome
from tests.orchestrator.conftest import World

pytestmark = pytest.mark.anyio


async def test_an_event_in_the_feed_becomes_a_mail_and_outcomes(world: World) -> None:
    journey_id = await world.publish(await world.mail_graph())
    person = world.person(traits={"first_name": "Ada"})
    world.feed(world.event(person, "Viewed", offer_id="o-1"))
    await world.settle()
    [mail] = world.mailbox.messages
    assert (mail["To"], mail["Subject"]) == (f"{person}@example.com", "About o-1")
    assert mail.get_content().strip() == "Hello Ada."  # type: ignore[attr-defined]
    [message] = await world.messages(journey_id=journey_id)
    assert message["state"] == "accepted"
    assert mail["X-Waymark-Message-Id"] == message["id"]
    assert mail["Message-ID"] == f"<{message['id']}@example.com>"
    told = [outcome.event for outcome in world.neighbours.outcomes]
    assert sorted(told) == ["Journey Entered", "Journey Exited", "Message Sent", "Step Taken"]
    for outcome in world.neighbours.outcomes:
        kind = MessageOutcome if outcome.event.startswith("Message") else JourneyOutcome
        kind.model_validate_json(outcome.properties, extra="forbid")
    assert {outcome.profile_id for outcome in world.neighbours.outcomes} == {str(person)}
    stats = await world.get(f"/journeys/{journey_id}/stats")
    assert (stats["entered"], stats["waiting"], stats["exits"]) == (1, 0, {"finished": 1})
    assert stats["nodes"]["mail"]["messages"] == {"accepted": 1}
