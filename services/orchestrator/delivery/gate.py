"""SQL of the send gate as the claiming transaction reads it."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.delivery.registry import MEDIA
from services.orchestrator.messages.store import told
from services.orchestrator.times import from_ms

# Of all purposes a message needs: whether one was withdrawn, whether one was not granted.
_CONSENT = """
    SELECT bool_or(each.withdrawn) AS withdrawn, bool_or(NOT each.granted) AS missing
    FROM unnest(m.required) AS needed (purpose)
    CROSS JOIN LATERAL (
        SELECT
            bool_or(w.state = 'withdrawn' AND NOT EXISTS (
                SELECT FROM send_gate g
                WHERE g.workspace_id = w.workspace_id AND g.subject = w.subject
                    AND g.purpose = w.purpose AND g.state = 'granted' AND g.at > w.at
                    AND g.channel IN ('*', medium.name)
                    AND g.contact_point IN ('*', m.contact)
                    AND w.channel IN ('*', g.channel)
                    AND w.contact_point IN ('*', g.contact_point))) AS withdrawn,
            coalesce(bool_or(w.state = 'granted'), needed.purpose = ANY (m.presumed)) AS granted
        FROM send_gate w
        WHERE w.workspace_id = :ws AND w.subject = CAST(m.profile_id AS text)
            AND w.purpose = needed.purpose AND w.channel IN ('*', medium.name)
            AND w.contact_point IN ('*', m.contact)) AS each
"""

# One line at most, by its whole key. The limit makes it a look-up per message: joined as a table,
# plans were seen that read the whole gate of the workspace at every claim.
_ALWAYS = """
        SELECT g.state FROM send_gate g WHERE g.workspace_id = :ws AND g.subject = {}
            AND g.purpose = '*' AND g.channel = '*' AND g.contact_point = '*' LIMIT 1
"""


async def skip_barred(
    session: AsyncSession,
    workspace_id: UUID,
    ids: Sequence[UUID],
    *,
    now: int,
    oldest: Mapping[str, int],
) -> list[Row[Any]]:
    """Of these locked messages, skip those the gate bars or that are too old; returns them.

    ``oldest``: when the oldest may have been made that still go out, ms, by their purpose.

    Runs in the transaction that claims: what was withdrawn before is never sent. It fails closed:
    what needs a consent is not sent without one. The rule is profile's (docs/consents.md): at each
    level above the contact point a withdrawal stands until a later grant inside it.
    """
    statement = text(
        f"""
        WITH judged AS (
            SELECT m.id, CASE
                WHEN every.state = 'erased' OR spot.state = 'erased' THEN 'erased'
                WHEN every.state = 'suppressed' OR spot.state = 'suppressed' THEN 'suppressed'
                WHEN consent.withdrawn THEN 'consent_withdrawn'
                WHEN consent.missing THEN 'no_consent'
                WHEN m.expires_at <= :now OR m.created_at < CASE m.purpose
                    WHEN 'marketing' THEN CAST(:marketing AS timestamptz)
                    ELSE CAST(:transactional AS timestamptz) END THEN 'expired'
            END AS reason
            FROM message m
            CROSS JOIN LATERAL (SELECT coalesce(
                CAST(:media AS jsonb) ->> m.channel_type, m.channel_type) AS name) AS medium
            LEFT JOIN LATERAL ({_ALWAYS.format("CAST(m.profile_id AS text)")}) AS every ON true
            LEFT JOIN LATERAL ({_ALWAYS.format("m.contact")}) AS spot ON true
            CROSS JOIN LATERAL ({_CONSENT}) AS consent
            WHERE m.workspace_id = :ws AND m.id = ANY(CAST(:ids AS uuid[])))
        UPDATE message m SET state = 'skipped', reason = judged.reason, run_at = NULL,
            fence = m.fence + 1, updated_at = :now
        FROM judged WHERE m.id = judged.id AND judged.reason IS NOT NULL
        RETURNING {told("m")}
        """  # noqa: S608 - names of this file
    )
    values = {
        "ws": workspace_id,
        "ids": ids,
        "now": from_ms(now),
        **{purpose: from_ms(at) for purpose, at in oldest.items()},
        # Consents name `email`, whichever kind of channel carries the mail.
        "media": msgspec.json.encode(MEDIA).decode(),
    }
    return list((await session.execute(statement, values)).all())
