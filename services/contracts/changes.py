"""Entries of profile's change feed (msgpack inside feed rows, see ``services.kit.feeds``)."""

from dataclasses import dataclass, field
from typing import Any, Literal

ChangeType = Literal[
    "event",
    "profile.updated",
    "profile.merged",
    "profile.unmerged",
    "identity.linked",
    "segment.entered",
    "segment.exited",
    "stage.changed",
    "rule.matched",
    "consent.changed",
    "profile.erased",
]


@dataclass(slots=True)
class Change:
    """One change of one profile. ``at`` is the time it is true from, ms since the epoch, UTC.

    ``data`` by type:

    - ``event``: ``message_id, event, type, subject_id, received_at, properties, context`` (the last
      two JSON texts)
    - ``profile.updated``: ``traits`` (only the changed ones, JSON values)
    - ``profile.merged``: ``merged_id`` (the id that from now on is an alias of ``profile_id``)
    - ``identity.linked``: ``namespace, value, subject_id`` (the subject now belongs to the profile)
    - ``segment.entered`` / ``segment.exited``: ``segment_id``
    - ``stage.changed``: ``model_id, from, to`` (stage ids, either may be null)
    - ``rule.matched``: ``rule_id, value`` (the new truth of a watched rule)
    - ``profile.erased``: ``subject_ids`` (all subjects of the person; ids only, no identifiers)
    - ``consent.changed``: ``purpose, channel, contact_point`` (``*``: all of them), ``state``
      (``granted``, ``withdrawn``, or ``pending`` until a double opt-in is confirmed; a withdrawal
      that somebody asked to undo is told again as what it is)
    """

    type: ChangeType
    profile_id: str
    at: int
    data: dict[str, Any] = field(default_factory=dict)
