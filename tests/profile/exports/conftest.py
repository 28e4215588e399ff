"""A profile service whose neighbours hand out what they hold of a person."""

from tests.profile.erasure.conftest import neighbours, tracking

__all__ = ["neighbours", "tracking"]
