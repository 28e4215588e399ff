"""Runs analytics queries and gives their answers shape."""

from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import available_timezones

from services.contracts.tracking import (
    Funnel,
    FunnelQuery,
    FunnelStepResult,
    SignalCount,
    SignalCounts,
    SignalQuery,
    Trend,
    TrendPoint,
    TrendQuery,
    Window,
)
from services.kit.clickhouse import ClickHouse
from services.kit.problems import InvalidRequest
from services.tracking.analytics import compile

# Each signal costs three aggregates; beyond this many ClickHouse spends more time on the
# expression than on the data.
_SIGNALS_PER_QUERY = 40


async def trend(clickhouse: ClickHouse, workspace_id: UUID, query: TrendQuery) -> Trend:
    _check_window(query)
    if query.timezone not in available_timezones():
        raise InvalidRequest.at("#/timezone", "Use an IANA time zone name such as Asia/Shanghai.")
    for index, series in enumerate(query.series):
        needs_property = series.measure in ("sum", "average", "min", "max")
        if needs_property != (series.property is not None):
            wanted = "is needed for" if needs_property else "is not accepted with"
            raise InvalidRequest.at(
                f"#/series/{index}/property", f"property {wanted} measure {series.measure}."
            )
        if series.event is None and series.where is not None:
            raise InvalidRequest.at(f"#/series/{index}/where", "where needs an event.")
    compiled = compile.trend(query)
    rows = await clickhouse.query(compiled.sql, compiled.params | {"workspace_id": workspace_id})
    return Trend(
        points=[
            TrendPoint(
                series=index,
                at=None if query.interval == "total" else datetime.fromtimestamp(at, UTC),
                value=value,
            )
            for index, at, value in rows
        ]
    )


async def funnel(clickhouse: ClickHouse, workspace_id: UUID, query: FunnelQuery) -> Funnel:
    _check_window(query)
    compiled = compile.funnel(query)
    rows = await clickhouse.query(compiled.sql, compiled.params | {"workspace_id": workspace_id})
    exactly = {int(level): int(people) for level, people in rows}
    people = [
        sum(n for level, n in exactly.items() if level > index) for index in range(len(query.steps))
    ]
    steps = []
    for index, step in enumerate(query.steps):
        previous = people[index - 1] if index else people[0]
        steps.append(
            FunnelStepResult(
                name=step.name or " / ".join(node.event for node in step.any_of),
                people=people[index],
                conversion_from_start=people[index] / people[0] if people[0] else None,
                conversion_from_previous=people[index] / previous if previous else None,
            )
        )
    return Funnel(steps=steps)


async def signals(clickhouse: ClickHouse, workspace_id: UUID, query: SignalQuery) -> SignalCounts:
    _check_window(query)
    counts: dict[str, SignalCount] = {}
    for names in _chunks(list(query.signals), _SIGNALS_PER_QUERY):
        compiled = compile.signals(query, names)
        rows = await clickhouse.query(
            compiled.sql, compiled.params | {"workspace_id": workspace_id}
        )
        for index, name in enumerate(names):
            count, people, last_ms = rows[0][3 * index : 3 * index + 3]
            last_at = datetime.fromtimestamp(last_ms / 1000, UTC) if count else None
            counts[name] = SignalCount(count=count, people=people, last_at=last_at)
    return SignalCounts(signals=counts)


def _chunks(names: list[str], size: int) -> list[list[str]]:
    return [names[i : i + size] for i in range(0, len(names), size)]


def _check_window(window: Window) -> None:
    for name in ("since", "until"):
        at: datetime = getattr(window, name)
        if at.tzinfo is None:
            raise InvalidRequest.at(f"#/{name}", "Write the time with its zone: 2018-01-01T00:00Z.")
        # Outside, ClickHouse's times end or our own shift between time zones does.
        if not 1910 <= at.year <= 2199:
            raise InvalidRequest.at(f"#/{name}", "A time from 1910 to 2199 is accepted.")
    if window.since >= window.until:
        raise InvalidRequest.at("#/until", "until must lie after since.")
