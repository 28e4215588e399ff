"""Mail against a real SMTP server: what is sent once, what is never sent, what nobody knows."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from services.orchestrator import workers
from services.orchestrator.delivery.kinds.email import Smtp
from services.orchestrator.delivery.sender import Sender
from tests.orchestrator.conftest import World

pytestmark = pytest.mark.anyio


async def enter(world: World, **facts: Any) -> str:
    """Somebody for whom a mail is queued; the journey's id."""
    journey_id = await world.publish(await world.mail_graph())
    world.feed(world.event(world.person(**facts), "Viewed", offer_id="o"))
    await world.follow()
    await world.execute()
    return journey_id


async def states(world: World) -> list[tuple[str, str | None]]:
    return [(m["state"], m["reason"]) for m in await world.messages()]


async def test_many_mails_share_few_connections(world: World) -> None:
    await world.publish(await world.mail_graph())
    people = [world.person() for _ in range(50)]
    world.feed(*(world.event(person, "Viewed", offer_id="o") for person in people))
    await world.settle()
    assert sorted(world.mailbox.recipients) == sorted(f"{p}@example.com" for p in people)
    assert world.mailbox.connections <= 8


async def test_marketing_without_consent_is_skipped(world: World) -> None:
    await world.publish(await world.mail_graph())
    nobody, refused = world.neighbours.person(), world.person()
    world.feed(world.consent(refused, "withdrawn"))
    world.feed(*(world.event(p, "Viewed", offer_id="o") for p in (nobody, refused)))
    await world.settle()
    assert world.mailbox.messages == []
    assert sorted(await states(world)) == [
        ("skipped", "consent_withdrawn"),
        ("skipped", "no_consent"),
    ]
    told = [o for o in world.neighbours.outcomes if o.event == "Message Skipped"]
    assert len(told) == 2


async def test_consent_withdrawn_after_the_step_and_before_the_send_counts(world: World) -> None:
    await world.publish(await world.mail_graph())
    person = world.person()
    world.feed(world.event(person, "Viewed", offer_id="o"))
    await world.follow()
    await world.execute()
    world.feed(world.consent(person, "withdrawn"))
    await world.settle()
    assert await states(world) == [("skipped", "consent_withdrawn")]


async def test_an_older_statement_of_consent_changes_nothing(world: World) -> None:
    await world.publish(await world.mail_graph())
    person = world.person()
    await world.follow()
    older = world.consent(person, "withdrawn")
    older.at -= 1
    world.feed(older)
    world.feed(world.event(person, "Viewed", offer_id="o"))
    await world.settle()
    assert await states(world) == [("accepted", None)]


async def test_transactional_mail_needs_no_consent(world: World) -> None:
    await world.publish(await world.mail_graph(purpose="transactional"))
    world.feed(world.event(world.neighbours.person(), "Viewed", offer_id="o"))
    await world.settle()
    assert await states(world) == [("accepted", None)]


async def test_without_an_address_the_message_is_skipped_and_the_way_goes_on(world: World) -> None:
    journey_id = await enter(world, identifiers={})
    assert await states(world) == [("skipped", "no_address")]
    stats = await world.get(f"/journeys/{journey_id}/stats")
    assert stats["exits"] == {"finished": 1}


async def test_a_template_that_fails_skips_the_message_and_says_so(world: World) -> None:
    graph = await world.mail_graph()
    bomb = "{% for i in (1..10000) %}{% for j in (1..10000) %}x{% endfor %}{% endfor %}"
    graph["nodes"][0]["template_id"] = await world.template(text=bomb)
    await world.publish(graph)
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.settle()
    assert await states(world) == [("skipped", "template_error")]


async def test_a_lost_answer_makes_it_unknown_and_it_is_never_sent_again(world: World) -> None:
    await enter(world)
    world.mailbox.hang_up = True
    await world.send()
    world.mailbox.hang_up = False
    [(state, reason)] = await states(world)
    assert state == "unknown"
    assert reason is not None
    assert reason.startswith("answer_lost")
    world.clock.advance(seconds=3_600)
    await world.settle()
    assert len(world.mailbox.messages) == 1
    assert [o.event for o in world.neighbours.outcomes].count("Message Unknown") == 1


async def test_a_crash_between_hand_over_and_answer_makes_it_unknown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enter(world)
    handed_over = asyncio.Event()

    async def dies(self: Smtp, *args: Any) -> Any:
        handed_over.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(Smtp, "_data", dies)
        sending = asyncio.create_task(world.send())
        await handed_over.wait()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert await states(world) == [("handed_over", None)]
    await world.settle()
    assert await states(world) == [("handed_over", None)], "its lease still runs"
    world.clock.advance(seconds=31)
    await world.settle()
    assert await states(world) == [("unknown", "answer_lost")]
    assert world.mailbox.messages == []


async def test_a_crash_before_the_hand_over_sends_it_later_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enter(world)
    claimed = asyncio.Event()

    async def dies(self: Sender, *args: Any) -> Any:
        claimed.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(Sender, "_send", dies)
        sending = asyncio.create_task(world.send())
        await claimed.wait()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert await states(world) == [("claimed", None)]
    world.clock.advance(seconds=31)
    await world.settle()
    assert await states(world) == [("accepted", None)]
    assert len(world.mailbox.messages) == 1


async def test_a_stop_waits_for_the_answers_and_hands_nothing_more_over(world: World) -> None:
    await world.publish(await world.mail_graph())
    people = [world.person() for _ in range(30)]
    world.feed(*(world.event(person, "Viewed", offer_id="o") for person in people))
    await world.follow()
    await world.execute()
    world.mailbox.go_on.clear()
    sending = asyncio.create_task(workers.send_gently(world.engine, world.workspace))
    await world.mailbox.reached.wait()
    sending.cancel()
    await asyncio.sleep(0)
    world.mailbox.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
    found = Counter(state for state, _ in await states(world))
    assert found == {"accepted": len(world.mailbox.messages), "queued": found["queued"]}
    assert found["queued"] > 0


@pytest.mark.parametrize("stage", ["rcpt", "data"])
async def test_a_temporary_refusal_is_tried_again_later(world: World, stage: str) -> None:
    await enter(world)
    setattr(world.mailbox, stage, "451 later")
    await world.send()
    assert await states(world) == [("queued", None)]
    setattr(world.mailbox, stage, None)
    await world.send()
    assert world.mailbox.messages == []
    world.clock.advance(seconds=2)
    await world.send()
    assert await states(world) == [("accepted", None)]


@pytest.mark.parametrize("stage", ["rcpt", "data"])
async def test_a_permanent_refusal_fails(world: World, stage: str) -> None:
    await enter(world)
    setattr(world.mailbox, stage, "550 no such user")
    await world.settle()
    assert await states(world) == [("failed", "smtp_550: no such user")]
    setattr(world.mailbox, stage, None)
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.settle()
    assert (len(world.mailbox.messages), world.mailbox.connections) == (1, 1)
    assert [o.event for o in world.neighbours.outcomes].count("Message Failed") == 1


async def test_an_unreachable_server_is_tried_until_the_message_expires(world: World) -> None:
    graph = await world.mail_graph()
    graph["nodes"][0]["channel_id"] = await world.email_channel(port=1)
    await world.publish(graph)
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.settle()
    assert await states(world) == [("queued", None)]
    world.clock.advance(seconds=86_401)
    await world.settle()
    assert await states(world) == [("skipped", "expired")]


async def test_a_mail_of_text_and_html_escapes_what_people_wrote(world: World) -> None:
    graph = await world.mail_graph()
    graph["nodes"][0]["channel_id"] = await world.email_channel(track_opens=False)
    graph["nodes"][0]["template_id"] = await world.template(
        subject="Für {{ profile.traits.name }}\nBcc: all@example.com",
        html="<p>{{ profile.traits.name }}</p>",
    )
    await world.publish(graph)
    person = world.person(traits={"name": "<b>你好</b>"})
    world.feed(world.event(person, "Viewed", offer_id="o"))
    await world.settle()
    [mail] = world.mailbox.messages
    assert mail["Subject"] == "Für <b>你好</b> Bcc: all@example.com"
    assert mail["Bcc"] is None
    html = mail.get_body(("html",)).get_content()  # type: ignore[attr-defined]
    assert html.strip() == "<p>&lt;b&gt;你好&lt;/b&gt;</p>"


@pytest.mark.parametrize(
    "name",
    [
        "=?utf-8?q?=0d=0aBcc:_all@example.com?=",
        "=?utf-8?q?=0aBcc:_all@example.com?=",
        "=?utf-8?q?=0d=0a=0d=0aAnother_body?=",
        "=?utf-8?b?DQpCY2M6IGFsbEBleGFtcGxlLmNvbQ==?=",
        "x =?utf-8?q?=0d=0aBcc:?= =?utf-8?q?_all@example.com?=",
    ],
)
async def test_an_encoded_word_in_a_trait_starts_no_header(world: World, name: str) -> None:
    graph = await world.mail_graph()
    graph["nodes"][0]["template_id"] = await world.template(subject="Hi {{ profile.traits.name }}")
    await world.publish(graph)
    world.feed(world.event(world.person(traits={"name": name}), "Viewed", offer_id="o"))
    await world.settle()
    [mail] = world.mailbox.messages
    assert mail["Bcc"] is None
    assert mail["Subject"] == f"Hi {name}".replace("=?", "= ?")
    assert [m["state"] for m in await world.messages()] == ["accepted"]


async def test_a_sender_that_would_start_a_header_is_no_mail(world: World) -> None:
    graph = await world.mail_graph()
    graph["nodes"][0]["channel_id"] = await world.email_channel(
        from_name="=?utf-8?q?=0d=0aBcc:_all@example.com?="
    )
    await world.publish(graph)
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.settle()
    assert world.mailbox.messages == []
    assert await states(world) == [("failed", "not_a_mail: ValueError")]
