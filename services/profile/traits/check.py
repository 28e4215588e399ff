"""Traits said through the API: everything that is wrong with them, by name. Pure."""

import sys
from collections.abc import Mapping
from typing import Any

from services.kit.problems import InvalidRequest
from services.profile.consents.decide import Said
from services.profile.profiles.traits import Meta, Traits
from services.profile.traits.definition import objection
from services.profile.traits.policy import API, Rules
from services.profile.traits.reasons import TEXTS

_LAST = sys.maxsize
"""Later than anything that was said."""


def objections(
    said: Mapping[str, Any],
    rules: Rules,
    *,
    known: Traits | None = None,
    agreed: Said | None = None,
    source: str = API,
) -> dict[str, str]:
    """By trait what is wrong. Without ``known`` and ``agreed`` (whoever it is about is not known
    yet) only what is wrong for everybody. ``known`` is used up."""
    found: dict[str, str] = {}
    traits = Traits() if known is None else known
    meta = Meta(_LAST, rules.priority(source), source, _LAST)
    for name, value in said.items():
        refusal = rules.refuses(name, value, agreed or {})
        if refusal == "consent_missing":
            if agreed is not None:
                purpose = rules.definitions[name].consent_purpose
                found[name] = f"The person has not granted the purpose {purpose!r} it needs."
        elif refusal == "wrong_type":
            found[name] = objection(rules.definitions[name], value) or TEXTS[refusal]
        elif refusal is not None:
            found[name] = TEXTS[refusal]
        if name in found:
            continue
        verdict = traits.say(name, value, meta, large=True)
        if verdict == "outranked":
            known_by = traits.meta[name]
            found[name] = (
                f"The source {known_by.source!r} of priority {known_by.priority} said it; "
                f"{source!r} has priority {meta.priority}."
            )
        elif verdict is not None and verdict != "changed":
            found[name] = TEXTS[verdict]
    return found


def refuse(found: Mapping[str, str], pointer: str) -> None:
    """``InvalidRequest`` that names every trait of ``found`` below ``pointer``."""
    if found:
        errors = [
            {"pointer": f"{pointer}/{escaped(name)}", "detail": detail}
            for name, detail in found.items()
        ]
        first = "; ".join(f"{e['pointer']}: {e['detail']}" for e in errors[:3])
        raise InvalidRequest(first, errors=errors)


def escaped(name: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def merged(known: Any, patch: Any) -> Any:
    """RFC 7396: ``patch`` laid over ``known``; null removes. Lists are replaced."""
    if not isinstance(patch, dict):
        return patch
    result = dict(known) if isinstance(known, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
