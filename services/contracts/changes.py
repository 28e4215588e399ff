"""Entries of profile's change feed (msgpack inside feed rows, see ``services.kit.feeds``)."""

from dataclasses import dataclass, field
from typing import Any, Literal

ChangeType = Literal[
    "event",
    "profile.updated",
    "profile.merged",
    "profile.unmerged",
    "identity.linked",
    "trait.computed",
    "segment.entered",
    "segment.exited",
    "stage.changed",
    "stage.stalled",
    "rule.matched",
    "consent.changed",
    "profile.erased",
    "account.updated",
    "account.member_changed",
    "account.segment_entered",
    "account.segment_exited",
]


@dataclass(slots=True)
class Change:
    """One change of one profile. ``at`` is the time it is true from, ms since the epoch, UTC.

    ``data`` by type:

    - ``event``: ``message_id, event, type, subject_id, received_at, properties, context`` (the last
      two JSON texts)
    - ``profile.updated``: ``traits`` (only the changed ones, JSON values), and, where sensitive
      ones changed, ``masked`` (their names; the values are never told)
    - ``profile.merged``: ``merged_id`` (the id that from now on is an alias of ``profile_id``)
    - ``profile.unmerged``: ``merge_id, merged_id`` (the id that is a profile of its own again),
      ``subject_ids`` (its subjects; each is told by ``identity.linked`` too) and
      ``kept_subject_ids`` (those of ``profile_id``). Traits, consents, segments and stages of both
      follow; what was sent to the one person they were stays sent
    - ``identity.linked``: ``namespace, value, subject_id`` (the subject now belongs to the profile)
    - ``trait.computed``: ``name, value`` (the new value of ``computed.<name>``, null for none; days
      since an instant are told when that instant changes, not day by day)
    - ``segment.entered`` / ``segment.exited``: ``segment_id``
    - ``stage.changed``: ``model_id, from, to`` (stage ids, either may be null)
    - ``stage.stalled``: ``model_id, stage_id, since`` (ms; still there after the stage's time)
    - ``rule.matched``: ``rule_id, value`` (the new truth of a watched rule)
    - ``profile.erased``: ``subject_ids`` (all subjects of the person; ids only, no identifiers)
    - ``consent.changed``: ``purpose, channel, contact_point`` (``*``: all of them), ``state``
      (``granted``, ``withdrawn``, or ``pending`` until a double opt-in is confirmed; a withdrawal
      that somebody asked to undo is told again as what it is)
    - ``account.updated``: ``group_id, traits`` (only the changed ones); here ``profile_id`` is the
      id of the account, which no person shares
    - ``account.member_changed``: ``account_id, member, roles`` (``member`` false: has left it)
    - ``account.segment_entered`` / ``account.segment_exited``: ``segment_id``; ``profile_id`` is
      the id of the account
    """

    type: ChangeType
    profile_id: str
    at: int
    data: dict[str, Any] = field(default_factory=dict)
