"""Which tables hold something of a person, and how their rows are found: the one list of them.

Whoever adds a table names it here; a test holds the list against the tables there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, and_, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from services.profile.account_segments.tables import AccountMembershipRow, AccountSegmentRow
from services.profile.accounts.tables import AccountMemberRow, AccountRow, AccountSweepRow
from services.profile.change_subscriptions.tables import ChangeSubscriptionRow
from services.profile.computed.tables import (
    AggregateRow,
    ComputedPastRow,
    ComputedStateRow,
    ComputedTraitRow,
)
from services.profile.consents.tables import ConsentLineRow, ConsentRow, PolicyRow, WordingRow
from services.profile.erasure.tables import ConsentProofRow, ErasureRow, SuppressionRow
from services.profile.exports.tables import ProfileExportPartRow, ProfileExportRow
from services.profile.feed.tables import FeedRow
from services.profile.identity.tables import AliasRow, ConflictRow, IdentifierRow, MergeRow
from services.profile.identity_policy.tables import IdentityPolicyRow
from services.profile.merges.tables import ImpactRow, UnmergeRow
from services.profile.predictions.tables import PredictionRow, PredictionRunRow
from services.profile.profiles.tables import ProfileRow
from services.profile.recounts.tables import RecountRow
from services.profile.rules.tables import LeafRow, LeafStateRow, MembershipRow, RuleRow
from services.profile.segments.tables import SegmentChangeRow, SegmentRow, SegmentVersionRow
from services.profile.stages.tables import StageChangeRow, StageModelRow, StageRow
from services.profile.stream.tables import ConsumerRow, QuarantineRow
from services.profile.subscriptions.tables import SubscriptionGroupRow
from services.profile.tables import Table
from services.profile.traits.tables import (
    TraitDefinitionRow,
    TraitHistoryRow,
    TraitRefusalRow,
    TraitSettingRow,
)

NOBODY = UUID(int=0)


class Person(msgspec.Struct):
    """Whom an erasure or an export is about: the living profile first, then those merged into it;
    every subject that belongs to them; and (namespace, value) of every identifier."""

    profile_ids: list[UUID]
    subject_ids: list[UUID]
    identifiers: list[tuple[str, str]]

    @property
    def contacts(self) -> list[str]:
        return [value for namespace, value in self.identifiers if namespace in ("email", "phone")]


@dataclass(frozen=True, slots=True)
class Held:
    """A table with rows of people: those with one of a person's profile ids in ``ids``, with one of
    the identifiers in ``named`` (namespace and value), or about one of their merges. ``blank``:
    what is written over such a row where it tells of more than the person; else it is deleted."""

    row: type[Table]
    ids: tuple[InstrumentedAttribute[Any], ...] = ()
    named: tuple[InstrumentedAttribute[Any], ...] = ()
    blank: dict[str, Any] | None = None
    merge: InstrumentedAttribute[Any] | None = None

    @property
    def table(self) -> str:
        return str(self.row.__tablename__)

    def of(self, workspace_id: UUID, person: Person) -> ColumnElement[bool]:
        found = [column.in_(person.profile_ids) for column in self.ids]
        if self.named:
            found.append(tuple_(*self.named).in_(person.identifiers))
        if self.merge is not None:
            theirs = or_(
                MergeRow.profile_id.in_(person.profile_ids),
                MergeRow.merged_id.in_(person.profile_ids),
            )
            merges = select(MergeRow.merge_id).where(MergeRow.workspace_id == workspace_id, theirs)
            found.append(self.merge.in_(merges))
        workspace: Any = self.row.__table__.c["workspace_id"]
        return and_(workspace == workspace_id, or_(*found))


PERSONAL: Sequence[Held] = (
    Held(ProfileRow, (ProfileRow.profile_id,)),
    Held(IdentifierRow, (IdentifierRow.profile_id,)),
    Held(AliasRow, (AliasRow.profile_id, AliasRow.alias_id)),
    # Found by the merges it is about, which go after it.
    Held(ImpactRow, merge=ImpactRow.merge_id),
    Held(UnmergeRow, (UnmergeRow.profile_id, UnmergeRow.revived_id)),
    Held(MergeRow, (MergeRow.profile_id, MergeRow.merged_id)),
    Held(RecountRow, (RecountRow.profile_id,)),
    Held(
        ConflictRow,
        (ConflictRow.profile_id, ConflictRow.other_id),
        (ConflictRow.namespace, ConflictRow.value),
    ),
    Held(ConsentRow, (ConsentRow.profile_id,)),
    Held(ConsentLineRow, (ConsentLineRow.profile_id,)),
    Held(TraitHistoryRow, (TraitHistoryRow.profile_id,)),
    Held(
        TraitRefusalRow,
        (TraitRefusalRow.last_profile_id,),
        blank={"last_profile_id": NOBODY, "last_message_id": ""},
    ),
    Held(AccountMemberRow, (AccountMemberRow.profile_id,)),
    Held(ComputedStateRow, (ComputedStateRow.profile_id,)),
    Held(ComputedPastRow, (ComputedPastRow.profile_id,)),
    Held(LeafStateRow, (LeafStateRow.profile_id,)),
    Held(MembershipRow, (MembershipRow.profile_id,)),
    Held(SegmentChangeRow, (SegmentChangeRow.profile_id,)),
    Held(StageRow, (StageRow.profile_id,)),
    Held(StageChangeRow, (StageChangeRow.profile_id,)),
    Held(ProfileExportRow, (ProfileExportRow.profile_id,)),
    Held(ProfileExportPartRow, (ProfileExportPartRow.profile_id,)),
)

PACKED: Sequence[type[Table]] = (FeedRow, QuarantineRow)
"""Rows of packed entries, which are opened to see whose they are."""

IMPERSONAL: Sequence[type[Table]] = (
    *(AccountRow, AccountSweepRow, AccountSegmentRow, AccountMembershipRow),
    *(ComputedTraitRow, AggregateRow, RuleRow, LeafRow, SegmentRow, SegmentVersionRow),
    *(StageModelRow, TraitDefinitionRow, TraitSettingRow),
    *(ConsumerRow, ChangeSubscriptionRow, SubscriptionGroupRow, IdentityPolicyRow),
    *(PolicyRow, WordingRow, PredictionRow, PredictionRunRow),
    # Of erased people, keyed hashes and counts only.
    *(ErasureRow, SuppressionRow, ConsentProofRow),
)
