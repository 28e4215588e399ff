"""The send gate: the documented table of consents, withdrawals at once, links in every mail."""

import asyncio
from email.message import Message
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.contracts.changes import Change
from services.contracts.profile import Links
from services.kit.postgres import workspace_tx
from services.orchestrator.delivery import store as delivery
from services.profile.consents.ledger import Consents, Place, Statement
from services.profile.stream.entries import fact_entries
from services.profile.stream.fold import Folded
from services.profile.traits.policy import NOTHING
from tests.orchestrator.conftest import World
from tests.support.app import service_headers, user_headers
from tests.support.consents import Case, cases

pytestmark = pytest.mark.anyio

URL = "https://cx.example.org/v1"


def told(world: World, profile_id: UUID, case: Case) -> list[Change]:
    """What profile's feed tells, statement by statement."""
    consents, changes = Consents(), []
    for number, (state, channel, contact_point) in enumerate(case.said):
        consents.changed.clear()
        place = Place("marketing", channel, contact_point)
        consents.learn(Statement(place, state), world.clock.now + number)  # type: ignore[arg-type]
        folded = Folded({}, {str(profile_id): consents})
        changes += fact_entries(folded, [str(profile_id)], world.clock.now, NOTHING)
    return changes


def _text(mail: Message) -> str:
    return bytes(mail.get_payload(decode=True)).decode()


async def test_the_gate_decides_as_the_documented_table_says(world: World) -> None:
    await world.publish(await world.mail_graph())
    mails = [case for case in cases() if case.channel == "email"]
    people = {}
    for number, case in enumerate(mails):
        other = f"{number}-{case.contact_point}"
        person = world.neighbours.person(identifiers={"email": [other]})
        mine = tuple(
            line._replace(contact_point=line.contact_point.replace(case.contact_point, other))
            for line in case.said
        )
        world.feed(*told(world, person, case._replace(said=mine)))
        people[person] = case
    world.feed(*(world.event(person, "Viewed", offer_id="o") for person in people))
    await world.settle()
    for message in await world.messages(limit=500):
        case = people[UUID(message["profile_id"])]
        assert (message["state"] == "accepted") == (case.state == "granted"), case
        if case.state in (None, "withdrawn"):
            reason = "consent_withdrawn" if case.state else "no_consent"
            assert message["reason"] == reason, case


async def close(world: World, person: UUID, **place: Any) -> None:
    body = {"withdrawals": [{"profile_id": str(person), "purpose": "marketing", **place}]}
    headers = service_headers("profile", "orchestrator", world.workspace_id)
    answer = await world.client.post("/internal/v1/gate/withdrawals", json=body, headers=headers)
    assert answer.status_code == 204, answer.text


async def queued(world: World) -> UUID:
    await world.publish(await world.mail_graph())
    person = world.person()
    world.feed(world.event(person, "Viewed", offer_id="o"))
    await world.follow()
    await world.execute()
    return person


async def test_a_withdrawal_bars_what_is_queued_though_the_feed_is_behind(world: World) -> None:
    person = await queued(world)
    world.clock.advance(seconds=1)
    late = world.consent(person)
    await close(world, person, channel="email", at=world.clock.now + 1)
    world.feed(late)
    await world.settle()
    assert [(m["state"], m["reason"]) for m in await world.messages()] == [
        ("skipped", "consent_withdrawn")
    ]
    assert world.mailbox.messages == []


async def test_nothing_is_handed_over_after_a_withdrawal_was_answered(world: World) -> None:
    """R18: also what a sender had claimed before."""
    await world.publish(await world.mail_graph())
    people = {str(world.person()) for _ in range(100)}
    world.feed(*(world.event(UUID(person), "Viewed", offer_id="o") for person in people))
    await world.follow()
    await world.execute()
    world.mailbox.go_on.clear()
    sending = asyncio.create_task(world.send())
    await world.mailbox.reached.wait()
    claimed = [m["profile_id"] for m in await world.messages(limit=500, state="claimed")]
    assert len(claimed) > 50
    for person in claimed:
        await close(world, UUID(person), at=world.clock.now + 1)
    world.mailbox.go_on.set()
    await sending
    await world.send()
    reached = {address.split("@")[0] for address in world.mailbox.recipients}
    assert reached == people - set(claimed)
    skipped = await world.messages(limit=500, state="skipped")
    assert {(m["profile_id"], m["reason"]) for m in skipped} == {
        (person, "consent_withdrawn") for person in claimed
    }


async def test_a_withdrawal_waits_for_a_sender_that_is_claiming(world: World) -> None:
    """The sender has read the gate, but its claim is not committed yet."""
    person = await queued(world)
    maker, workspace_id = world.engine.maker, world.workspace_id
    async with workspace_tx(maker, workspace_id) as session:
        ids = await delivery.lock_due(session, workspace_id, now=world.clock.now, limit=10)
        closing = asyncio.create_task(close(world, person, at=world.clock.now + 1))
        await world.somebody_waits()
        [claim] = await delivery.claim(
            session, workspace_id, ids, now=world.clock.now, lease_ms=30_000
        )
    await closing
    async with workspace_tx(maker, workspace_id) as session:
        assert await delivery.hand_over(session, workspace_id, [claim], world.clock.now) == set()
    await world.settle()
    assert [(m["state"], m["reason"]) for m in await world.messages()] == [
        ("skipped", "consent_withdrawn")
    ]


async def test_a_withdrawal_on_another_channel_bars_no_mail(world: World) -> None:
    person = await queued(world)
    await close(world, person, channel="sms", at=world.clock.now + 1)
    await world.settle()
    assert len(world.mailbox.messages) == 1


async def test_only_services_close_the_gate(world: World) -> None:
    headers = user_headers("orchestrator", world.workspace_id)
    body = {"withdrawals": [{"profile_id": str(uuid4()), "purpose": "m", "at": 1}]}
    answer = await world.client.post("/internal/v1/gate/withdrawals", json=body, headers=headers)
    assert answer.status_code == 403


async def test_a_group_s_journey_needs_its_membership_too_and_links_to_its_end(
    world: World,
) -> None:
    group_id = uuid4()
    graph = await world.mail_graph(subscription_group_id=str(group_id))
    template = await world.template(text="{{ unsubscribe_url }} {{ preferences_url }}")
    graph["nodes"][0]["template_id"] = template
    await world.publish(graph)
    purpose = f"group:{group_id}"
    member, presumed, stranger = (
        world.person(),
        world.person(presumed=[purpose]),
        world.person(),
    )
    joined = {"purpose": purpose, "channel": "email", "contact_point": "*", "state": "granted"}
    world.feed(Change("consent.changed", str(member), world.clock.now, joined))
    people = (member, presumed, stranger)
    world.feed(*(world.event(person, "Viewed", offer_id="o") for person in people))
    await world.settle()
    found = {UUID(m["profile_id"]): m["reason"] for m in await world.messages()}
    assert found == {member: None, presumed: None, stranger: "no_consent"}
    mail = next(m for m in world.mailbox.messages if m["To"] == f"{member}@example.com")
    link = f"{URL}/unsubscribe/group-{group_id}-{member}"
    # As it went over the wire: mailboxes do not decode it.
    wire = dict(mail.raw_items())
    assert wire["List-Unsubscribe"] == f"<{link}>"
    assert wire["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert _text(mail).split() == [link, f"{URL}/preferences/p-{member}"]


async def test_transactional_mail_has_no_unsubscribe_link_and_may_ask_to_confirm(
    world: World,
) -> None:
    graph = await world.mail_graph(purpose="transactional")
    text = '{{ confirm_urls["group:g"] }} {{ unsubscribe_url }}'
    graph["nodes"][0]["template_id"] = await world.template(text=text)
    await world.publish(graph)
    links = Links(preferences="p", unsubscribe={}, confirm={"group:g": "t"})
    world.feed(world.event(world.neighbours.person(links=links), "Viewed", offer_id="o"))
    await world.settle()
    [mail] = world.mailbox.messages
    assert mail["List-Unsubscribe"] is None
    assert _text(mail).split() == [f"{URL}/confirm/t"]


async def test_marketing_without_an_unsubscribe_link_is_not_sent(world: World) -> None:
    await world.publish(await world.mail_graph())
    links = Links(preferences="p", unsubscribe={}, confirm={})
    world.feed(world.event(world.person(links=links), "Viewed", offer_id="o"))
    await world.settle()
    [message] = await world.messages()
    assert (message["state"], message["reason"]) == ("skipped", "no_unsubscribe_link")


async def test_marketing_to_who_wants_no_personalisation_speaks_of_nothing_they_did(
    world: World,
) -> None:
    await world.publish(await world.mail_graph())
    person = world.person(non_personalised=True)
    world.feed(world.event(person, "Viewed", offer_id="secret"))
    await world.settle()
    [mail] = world.mailbox.messages
    assert "secret" not in mail.as_string()
    assert "Hello there." in _text(mail)
