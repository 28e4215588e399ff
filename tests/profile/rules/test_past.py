"""The past of leaves as tracking answers it: by columns, and as states."""

from tempfile import TemporaryFile
from uuid import UUID

import pyarrow as pa
import pytest

from services.profile.rules import past, states
from services.profile.rules.past import Past
from services.profile.rules.states import Held
from services.rules import LeafState
from tests.profile.tracking import LEAVES

PEOPLE = [str(UUID(int=n)) for n in range(1, 5)]
STATES = [
    LeafState(3, 5, 9, (9, 7, 5), ()),
    LeafState(1, -4, -4, (), ()),
    LeafState(70, 1, 1_764_000_000_000, (), ((19, 2), (18, 68))),
    LeafState(2, 1, 2, (2, 1), ((7, 1), (6, 1))),
]


def answer(*rows: tuple[str, str, LeafState]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "leaf_id": leaf_id,
                "profile_id": profile_id,
                **state._asdict(),
                "recent": list(state.recent),
                "buckets": [{"1": index, "2": n} for index, n in state.buckets],
            }
            for leaf_id, profile_id, state in rows
        ],
        schema=LEAVES,
    )


def test_columns_say_of_any_part_of_a_batch_what_its_rows_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = [("a1", person, state) for person, state in zip(PEOPLE, STATES, strict=True)]
    monkeypatch.setattr(past, "ROWS_AT_ONCE", 3)
    with TemporaryFile() as file:
        with pa.ipc.new_stream(file, LEAVES) as writer:
            writer.write_table(answer(*whole))
        batches = list(Past(file).batches())
        assert [batch.num_rows for batch in batches] == [3, 1]
        assert [row for batch in batches for row in past.rows(batch)] == whole
        for batch in batches:
            held = {(person, leaf): Held(state, None) for leaf, person, state in past.rows(batch)}
            written = states.columns(UUID(int=9), held)
            assert past.columns(batch) == {name: written[name] for name in past.columns(batch)}


def test_only_the_leaves_that_are_wanted_are_read() -> None:
    rows = [(leaf, person, STATES[0]) for leaf in ("a1", "b2") for person in PEOPLE]
    with TemporaryFile() as file:
        with pa.ipc.new_stream(file, LEAVES) as writer:
            writer.write_table(answer(*rows))
        found = [row for batch in Past(file).batches(["b2"]) for row in past.rows(batch)]
        assert found == rows[4:]
        assert list(Past(file).batches([])) == []
