"""Identifiers of people: namespaces, normalisation, and the subject id made of them. Pure."""

from typing import Final
from uuid import UUID, uuid5

from services.identifiers.policy import BUILT_IN as BUILT_IN
from services.identifiers.policy import Identifier as Identifier
from services.identifiers.policy import Policy as Policy

PRIORITY: Final = BUILT_IN.names
"""Namespaces of the built-in policy, highest priority first."""
normalise: Final = BUILT_IN.normalise
"""By the built-in policy; events are read by that of their workspace."""


def subject_id(workspace_id: UUID, namespace: str, value: str) -> UUID:
    """Name-based UUID (RFC 9562 version 5) of one normalised identifier in one workspace.

    It never changes: events carry it for ever, and the map subject → profile is applied on read.
    """
    return uuid5(workspace_id, f"{namespace}:{value}")
