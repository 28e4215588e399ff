"""The pure parts of an erasure."""

from uuid import UUID, uuid4

import msgspec
import pytest
from cryptography.exceptions import InvalidTag

from services.contracts.events import Event, Outcome
from services.identifiers import subject_id
from services.kit.feeds import pack, unpack
from services.tracking.erasure.refused import Person, cleaned, mentions
from services.tracking.erasure.seal import Seal, Work
from services.tracking.erasure.stored import needles
from services.tracking.erasure.tombstone import without
from services.tracking.sequencer.verdict import united

WORKSPACE = uuid4()
ADA = subject_id(WORKSPACE, "user_id", "7")
EMAIL = subject_id(WORKSPACE, "email", "ada@example.com")
PHONE = subject_id(WORKSPACE, "phone", "+8613800138000")
CARD = subject_id(WORKSPACE, "loyalty_card", "lc-7")
PERSON = Person(WORKSPACE, {ADA, EMAIL, PHONE, CARD}, [b"ada@example.com", b'"7"'])


def _event(subject: UUID, message_id: str) -> Event:
    return Event(
        message_id=message_id,
        source_id="web",
        type="track",
        event="Viewed",
        subject_id=str(subject),
        identifiers=[("user_id", "7")],
        user_id="7",
        anonymous_id="",
        occurred_at=1,
        original_at=1,
        received_at=1,
        properties='{"secret":1}',
    )


def test_others_keep_their_places_in_a_row() -> None:
    other = uuid4()
    row = pack([_event(other, "a"), _event(ADA, "b"), _event(other, "c"), _event(ADA, "d")])
    found = without(str(WORKSPACE), row, None, {str(ADA)})
    assert found is not None
    assert found.erased == 2
    assert found.drop == bytes([0b1010])
    left = unpack(found.data, Event)
    assert [e.message_id for e in left] == ["a", "", "c", ""]
    assert "secret" not in str(left[1])
    # Once more, with the bitmap it has now: nothing is left to do.
    assert without(str(WORKSPACE), found.data, found.drop, {str(ADA)}) is None


def test_what_was_a_duplicate_stays_left_out() -> None:
    row = pack([_event(uuid4(), "a"), _event(ADA, "b")])
    found = without(str(WORKSPACE), row, bytes([0b01]), {str(ADA)})
    assert found is not None
    assert found.drop == bytes([0b11])


def test_outcomes_are_the_profile_s() -> None:
    partition = f"{WORKSPACE}:outcomes"
    row = pack([Outcome("m", "Message Sent", str(ADA), 1, '{"to":"x"}')])
    found = without(partition, row, None, {str(ADA)})
    assert found is not None
    assert unpack(found.data, Outcome)[0].properties == "{}"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"track","userId":"7"}',
        b'{"type":"track","userId":7}',
        b'{"anonymousId":"x","traits":{"email":" ADA@example.com"}}',
        b'{"properties":{"distinct_id":"7"}}',
        b'{"properties":{"note":["+86 138 0013 8000"]}}',
        b'{"broken": "Ada@example.com"',
        b'{"userId":7,"n":NaN}',
        b'{"e":"ada\\u0040example.com","s":"\\ud800","line":"\n"}',
        b'{"userId":"7","bytes":"\xff\xfe"}',
        b'[{"userId":"7"}]',
        b'{"userId":"8","context":{"externalIds":[{"id":" LC-7 ","type":"loyalty_card"}]}}',
    ],
)
def test_a_refused_event_that_names_the_person_goes(raw: bytes) -> None:
    assert cleaned(raw, None, PERSON) is None


@pytest.mark.parametrize(
    "raw",
    [
        *(b'{"userId":"77"}', b'{"quantity":7,"name":"7"}', b"no json", b"", b'[{"userId":"8"}]'),
        b'{"userId":"8","context":{"externalIds":[{"id":"lc-7","type":"badge"}]}}',
        b'{"id":"x","type":"\\ud800"}',
        *(b'{"userId":"8","n":NaN,"at":17}', b'{"userId":"\\ud800"}', b'{"userId":"8","at":17'),
    ],
)
def test_a_refused_event_of_others_stays_as_it_is(raw: bytes) -> None:
    assert cleaned(raw, b'{"sent_at":7}', PERSON) == raw


def test_of_many_refused_events_only_the_person_s_go() -> None:
    raw = b'[{"userId":"8"},{"userId":"7"},{"userId":"9"}]'
    left = cleaned(raw, None, PERSON)
    assert left is not None
    assert msgspec.json.decode(left) == [{"userId": "8"}, {"userId": "9"}]


def test_of_a_list_that_is_no_strict_json_the_others_stay() -> None:
    raw = b'[{"userId":"8","s":"\\ud800"},{"userId":"7","n":NaN}]'
    assert cleaned(raw, None, PERSON) == b'[{"userId": "8", "s": "\\ud800"}]'


def test_an_identifier_inside_a_text_is_a_mention() -> None:
    raw = b'{"event":"","properties":{"note":"call Ada@Example.com"}}'
    assert cleaned(raw, None, PERSON) == raw
    assert mentions(raw, PERSON)
    assert not mentions(b'{"n":7}', PERSON)


def test_a_shared_context_that_names_the_person_takes_its_event_along() -> None:
    origin = b'{"context":{"traits":{"email":"ada@example.com"}}}'
    assert cleaned(b'{"userId":"8"}', origin, PERSON) is None


def test_short_identifiers_are_looked_for_as_whole_strings() -> None:
    assert needles(["7", "ada@example.com", 'o"brien']) == ['"7"', "ada@example.com", 'o\\"brien']


def test_notes_and_marks_say_nothing_without_the_key() -> None:
    work = Work([ADA], ["7"])
    one, other = Seal("one key"), Seal("other key")
    assert one.open(one.close(work)) == work
    assert one.mark(ADA) == Seal("one key").mark(ADA)
    assert one.mark(ADA) != other.mark(ADA)
    with pytest.raises(InvalidTag):
        other.open(one.close(work))


def test_two_verdicts_leave_out_what_either_does() -> None:
    assert united({1: b"\x01", 2: b"\x02"}, {2: b"\x04", 3: b"\x08"}) == {
        1: b"\x01",
        2: b"\x06",
        3: b"\x08",
    }
