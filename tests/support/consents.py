"""The table of cases in docs/consents.md, which profile and the send gate both follow."""

from typing import NamedTuple

from tests.support.instance import REPOSITORY


class Line(NamedTuple):
    state: str
    channel: str
    contact_point: str


class Case(NamedTuple):
    said: tuple[Line, ...]
    """The oldest first."""
    channel: str
    contact_point: str
    state: str | None


def cases() -> list[Case]:
    rows = (REPOSITORY / "docs/consents.md").read_text().split("| said | asked | state |")[1]
    found = []
    for row in rows.split("\n\n")[0].strip().splitlines()[1:]:
        said, asked, state = (cell.strip() for cell in row.strip("|").split("|"))
        channel, contact_point = asked.split("/")
        lines = tuple(_line(line) for line in said.split(", ") if line)
        found.append(Case(lines, channel, contact_point, None if state == "none" else state))
    return found


def _line(text: str) -> Line:
    state, where = text.split()
    channel, contact_point = where.split("/")
    return Line(state, channel, contact_point)
