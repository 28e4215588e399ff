"""When two values of a trait are the same. Pure."""

from typing import Any


def equal(said: Any, known: Any) -> bool:
    """Equal JSON. PostgreSQL gives 1e30 back as the integer 10**30, which Python tells from the
    double 1e30; and to Python ``True`` is 1."""
    if isinstance(said, str) or said is None:
        return bool(said == known)
    if isinstance(said, bool) or isinstance(known, bool):
        return said is known
    if isinstance(said, int | float):
        if not isinstance(known, int | float):
            return False
        if isinstance(said, float) or isinstance(known, float):
            return float(said) == float(known)
        return said == known
    if isinstance(said, dict):
        return (
            isinstance(known, dict)
            and said.keys() == known.keys()
            and all(equal(value, known[key]) for key, value in said.items())
        )
    return (
        isinstance(known, list)
        and len(said) == len(known)
        and all(equal(*pair) for pair in zip(said, known, strict=True))
    )
