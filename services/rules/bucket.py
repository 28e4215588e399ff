"""Stable percentage buckets for splits, holdouts and experiments."""

from hashlib import sha256

BUCKETS = 10_000


def bucket(salt: str, id: str) -> int:
    """Return 0..9999 for an id under a salt, the same in every process and release.

    The first 8 bytes of SHA-256(salt + NUL + id), UTF-8, big-endian, modulo 10,000 (its bias
    is below 1e-15). Different salts give independent buckets.
    """
    digest = sha256(f"{salt}\0{id}".encode()).digest()
    return int.from_bytes(digest[:8]) % BUCKETS
