"""Stable percentage buckets for splits, holdouts and experiments."""

from hashlib import sha256

BUCKETS = 10_000
_WEIGHTS = [pow(256, 7 - i, BUCKETS) for i in range(8)]


def bucket(salt: str, id: str) -> int:
    """Return 0..9999 for an id under a salt, the same in every process and release.

    The first 8 bytes of SHA-256(salt + NUL + id), UTF-8, big-endian, modulo 10,000 (its bias
    is below 1e-15). Different salts give independent buckets.
    """
    digest = sha256(f"{salt}\0{id}".encode()).digest()
    return int.from_bytes(digest[:8]) % BUCKETS


def bucket_postgres(salt: str, id: str) -> str:
    """Return the same as SQL; `salt`, `id`: SQL expressions of type text."""
    hashed = (
        f"sha256(convert_to({salt}, 'UTF8') || decode('00', 'hex') || convert_to({id}, 'UTF8'))"
    )
    terms = " + ".join(f"get_byte(h.d, {i}) * {weight}" for i, weight in enumerate(_WEIGHTS))
    # OFFSET 0 keeps the planner from hashing anew for every byte.
    return f"(SELECT ({terms}) % {BUCKETS} FROM (SELECT {hashed} AS d OFFSET 0) AS h)"  # noqa: S608


def bucket_clickhouse(salt: str, id: str) -> str:
    """Return the same as SQL; `salt`, `id`: SQL expressions of type String."""
    head = f"substring(SHA256(concat({salt}, char(0), {id})), 1, 8)"
    return f"(reinterpretAsUInt64(reverse({head})) % {BUCKETS})"
