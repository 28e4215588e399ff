"""Analytics over HTTP: trends and funnels for users, signal counts for the other services."""

from fastapi import APIRouter, Request

from services.contracts.tracking import (
    Funnel,
    FunnelQuery,
    SignalCounts,
    SignalQuery,
    Trend,
    TrendQuery,
)
from services.kit.auth import ServiceCaller, UserCaller
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.tracking.analytics import service

router = APIRouter(
    prefix="/api/v1/analytics",
    tags=["analytics"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unavailable),
)
internal_router = APIRouter(
    prefix="/internal/v1", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


@router.post("/trends", summary="Count events, people or sums over time")
async def query_trends(body: TrendQuery, request: Request, caller: UserCaller) -> Trend:
    """Events of people who were merged count as one person's. Intervals without events are absent.

    `sum` and its like read the number at `property`; events that carry none are left out.
    """
    return await service.trend(request.state.clickhouse, caller.workspace_id, body)


@router.post("/funnel", summary="How many people take the steps in order")
async def query_funnel(body: FunnelQuery, request: Request, caller: UserCaller) -> Funnel:
    """Counts canonical people. Other events may lie between the steps; steps at equal times count
    as taken in order; the last step must lie within `within_seconds` of the first.
    """
    return await service.funnel(request.state.clickhouse, caller.workspace_id, body)


@internal_router.post("/signals")
async def count_signals(body: SignalQuery, request: Request, caller: ServiceCaller) -> SignalCounts:
    return await service.signals(request.state.clickhouse, caller.workspace_id, body)
