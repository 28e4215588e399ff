"""Tracking's share of the evidence: coverage, valid events, sources, identity across channels.

Definitions and windows are those of the questionnaire's indicators.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from services.contracts.evidence import Evidence, Indicator, SourceEvidence
from services.kit.clickhouse import ClickHouse
from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking.evidence import store
from services.tracking.sources import store as sources
from services.tracking.sources.store import Setting
from services.tracking.touchpoints import service as touchpoints
from services.tracking.touchpoints import store as traffic
from services.tracking.touchpoints.coverage import Seen

COVERAGE_DAYS = 30
RECENT_DAYS = 7
PEOPLE_DAYS = 90


async def gather(
    maker: SessionMaker, clickhouse: ClickHouse, workspace_id: UUID, now: datetime
) -> Evidence:
    """All of it as of ``now``."""
    recent, long_ago = now - timedelta(days=RECENT_DAYS), now - timedelta(days=PEOPLE_DAYS)
    async with workspace_tx(maker, workspace_id) as session:
        settings = await sources.settings(session)
        refused = await store.quarantined(session, recent)
    seen = await traffic.seen(clickhouse, workspace_id, recent)
    channel_of = {s.source_id: str(s.channel) for s in settings if s.channel is not None}
    active, several = await store.people(clickhouse, workspace_id, long_ago, channel_of)
    events, known = await store.resolved(clickhouse, workspace_id, recent, long_ago)
    entries = await touchpoints.take(maker, clickhouse, workspace_id, COVERAGE_DAYS)
    planned = [entry for entry in entries if entry.status != "unplanned"]
    covered = sum(entry.status == "seen" for entry in planned)
    valid = sum(s.checked - s.broken for s in seen)
    arrived = sum(s.count for s in seen) + sum(refused.values())
    connected = len({s.source_id for s in seen})
    # Where no source has a channel, nobody can be seen in two: that is no evidence at all.
    people = active if channel_of else 0
    return Evidence(
        computed_at=now,
        indicators=[
            _share("touchpoint_event_share", "census", covered, len(planned), COVERAGE_DAYS),
            _share("event_valid_rate", "sample", valid, arrived, RECENT_DAYS),
            _count("connected_sources", connected, RECENT_DAYS),
            _share("identity_match_rate", "sample", known, events, RECENT_DAYS),
            _share("multi_channel_profile_rate", "sample", several, people, PEOPLE_DAYS),
        ],
        sources=_sources(settings, seen, refused),
        last_at=max((s.last_at for s in seen), default=None),
    )


def _share(
    name: str, kind: Literal["census", "sample"], part: int, whole: int, days: int
) -> Indicator:
    return Indicator(
        id=name,
        kind=kind,
        value=part / whole if whole else None,
        numerator=part,
        denominator=whole,
        n=whole,
        window_days=days,
    )


def _count(name: str, count: int, days: int) -> Indicator:
    return Indicator(
        id=name,
        kind="census",
        value=count,
        numerator=count,
        denominator=None,
        n=count,
        window_days=days,
    )


def _sources(
    settings: list[Setting], seen: list[Seen], refused: dict[str, int]
) -> list[SourceEvidence]:
    traffic_of: dict[str, list[Seen]] = defaultdict(list)
    for each in seen:
        traffic_of[each.source_id].append(each)
    setting_of = {s.source_id: s for s in settings}
    found = []
    for source_id in sorted({*traffic_of, *setting_of, *refused}):
        setting, own = setting_of.get(source_id), traffic_of[source_id]
        found.append(
            SourceEvidence(
                source_id=source_id,
                channel=setting.channel if setting else None,
                has_plan=setting is not None and setting.plan_id is not None,
                events=sum(s.count for s in own),
                violations=sum(s.broken for s in own),
                quarantined=refused.get(source_id, 0),
                last_at=max((s.last_at for s in own), default=None),
            )
        )
    return found
