"""What a segment of accounts asks, as one SQL condition over a row of ``account``. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from services.profile.account_segments.models import MembersCondition
from services.rules import Rule
from services.rules.binds import ParamValue
from services.rules.compile_postgres import Columns, compile_postgres
from services.rules.model import All, Const, Not, Some, Test, walk

_COLUMNS = Columns(
    account="(a.traits || jsonb_build_object('$id', a.account_id, '$group_id', a.group_id))"
)

# S608: every fragment is ours; names of parameters are numbers we give, their values are bound.
_MEMBERS = """
  SELECT 1 FROM account_member m
  WHERE m.workspace_id = a.workspace_id AND m.account_id = a.account_id AND m.removed_at IS NULL"""
_WITH_ROLE = " AND CAST(:m{i}_role AS text) = ANY(m.roles)"
_IN_SEGMENT = """EXISTS (
    SELECT 1 FROM membership s
    WHERE s.workspace_id = m.workspace_id AND s.profile_id = m.profile_id
      AND s.rule_id = CAST(:m{i}_segment AS uuid))"""


class AccountCondition(NamedTuple):
    """True or false, never NULL, of a row ``a`` of ``account``; and its named parameters."""

    sql: str
    params: dict[str, ParamValue]


def reads_accounts_only(rule: Rule) -> bool:
    """Whether the rule can be asked of an account: roles and all else are a person's."""
    return all(
        isinstance(node, Const | Not | All | Some)
        or (isinstance(node, Test) and node.source == "account" and node.path[0] != "$roles")
        for node in walk(rule.root)
    )


def condition(rule: Rule, members: Sequence[MembersCondition]) -> AccountCondition:
    """The rule and all conditions on members; ``rule`` is one that ``reads_accounts_only``."""
    # Nothing such a rule may ask depends on the time.
    sql, params = compile_postgres(rule, 0, columns=_COLUMNS)
    parts = [sql]
    for i, each in enumerate(members):
        parts.append(_quantified(i, each))
        if each.role is not None:
            params[f"m{i}_role"] = each.role
        if each.segment_id is not None:
            params[f"m{i}_segment"] = str(each.segment_id)
        if each.count is not None:
            params[f"m{i}_count"] = each.count
    return AccountCondition("(" + " AND ".join(parts) + ")", params)


def _quantified(i: int, each: MembersCondition) -> str:
    asked = _MEMBERS + ("" if each.role is None else _WITH_ROLE.format(i=i))
    inside = "true" if each.segment_id is None else _IN_SEGMENT.format(i=i)
    matching = f"{asked} AND {inside}"
    if each.quantifier == "some":
        return f"EXISTS ({matching})"
    if each.quantifier == "none":
        return f"NOT EXISTS ({matching})"
    if each.quantifier == "every":
        return f"(EXISTS ({asked}) AND NOT EXISTS ({asked} AND NOT {inside}))"
    enough = f"CAST(:m{i}_count AS bigint)"
    return f"((SELECT count(*) FROM ({matching} LIMIT {enough}) AS found) = {enough})"  # noqa: S608
