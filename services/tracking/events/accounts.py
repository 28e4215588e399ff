"""Timelines of accounts: whose events they are is asked of profile."""

from http import HTTPStatus
from importlib.resources import files
from uuid import UUID

from services.contracts.profile import AccountSpans
from services.contracts.tracking import StoredEvent
from services.kit.clickhouse import ClickHouse
from services.kit.http import ServiceClient
from services.kit.problems import Unavailable
from services.tracking.errors import AccountNotFound
from services.tracking.events.store import FAR_FUTURE_MS, Position, stored, to_ms

_TIMELINE = files(__package__).joinpath("account_timeline.sql").read_text()

MAX_PEOPLE = 1000
"""Whose events a timeline shows beside those that name the account: those of the latest group
calls. Their ids travel with the query."""


async def spans(
    profile: ServiceClient | None, workspace_id: UUID, account_id: UUID
) -> AccountSpans:
    """Who was in the account and when; ``AccountNotFound``, or ``Unavailable`` without profile."""
    if profile is None:
        raise Unavailable("Timelines of accounts need the profile service.")
    answer = await profile.request(
        "GET",
        f"/internal/v1/accounts/{account_id}/spans",
        workspace_id=workspace_id,
        params={"limit": MAX_PEOPLE},
    )
    if answer.status_code == HTTPStatus.NOT_FOUND:
        raise AccountNotFound(f"Account {account_id} does not exist.", account_id=str(account_id))
    answer.raise_for_status()
    return AccountSpans.model_validate_json(answer.content)


async def timeline(
    clickhouse: ClickHouse, workspace_id: UUID, account: AccountSpans, before: Position, limit: int
) -> list[tuple[Position, StoredEvent]]:
    """Events of an account, newest first."""
    rows = await clickhouse.query(
        _TIMELINE,
        {
            "workspace_id": workspace_id,
            "group_id": account.group_id,
            "people": [str(m.profile_id) for m in account.members],
            "since": [to_ms(m.since, 0) for m in account.members],
            "until": [to_ms(m.until, FAR_FUTURE_MS) for m in account.members],
            "before_ms": before[0],
            "before_offset": before[1],
            "before_index": before[2],
            "limit": limit,
        },
    )
    return [stored(row) for row in rows]
