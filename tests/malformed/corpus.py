"""Malformed requests without end, the same for the same seed."""

import base64
import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

import zstandard

from tests.malformed.families import FAMILIES, Family, text

Headers = list[tuple[bytes, bytes]]
_HOLE = "@hole@"
_DEEP = 100_000


@dataclass(frozen=True)
class Case:
    """A request without its key. ``good``: message ids that have to be accepted all the same."""

    name: str
    path: str
    body: bytes
    headers: Headers = field(default_factory=list)
    query: bytes = b""
    method: str = "POST"
    good: tuple[str, ...] = ()


VALUES: dict[str, bytes] = {
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "1e999": b"1e999",
    "-1e999": b"-1e999",
    "tiny": b"1e-999",
    "5,000 digits": b"9" * 5_000,
    "5,000 decimals": b"0." + b"9" * 5_000,
    "beyond 64 bits": b"18446744073709551616",
    "below 64 bits": b"-9223372036854775809",
    "leading zero": b"007",
    "hex": b"0x10",
    "lone high surrogate": rb'"\ud800"',
    "lone low surrogate": rb'"a\udc00b"',
    "swapped surrogates": rb'"\udc00\ud800"',
    "NUL": rb'"a\u0000b"',
    "NUL key": rb'{"a\u0000b":1}',
    "raw NUL": b'"a\x00b"',
    "raw control": b'"a\x01\nb"',
    "bad UTF-8": b'"\xff\xfe"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "encoded surrogate": b'"\xed\xa0\x80"',
    "cut UTF-8": b'"\xe4\xb8"',
    "bad escape": rb'"\x41"',
    "cut escape": rb'"\u12"',
    "noncharacter": '"\uffff\ufdd0"'.encode(),
    "bidi": '"\u202e\u2066"'.encode(),
    "long text": b'"%b"' % (b"x" * 40_000),
    "long key": b'{"%b":1}' % (b"k" * 40_000),
    "deep list": b"[" * 200 + b"]" * 200,
    "deep object": b'{"a":' * 200 + b"1" + b"}" * 200,
    "bottomless list": b"[" * _DEEP + b"]" * _DEEP,
    "bottomless object": b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
    "unclosed": b"[" * 50,
    "duplicate keys": b'{"a":1,"a":2,"b":{"c":1,"c":{}}}',
    "dotted keys": b'{"a":{"b":1},"a.b":2,"a.b.c":3,"":4,".":5,"..":{"":1}}',
    "prototype": b'{"__proto__":{"a":1},"constructor":{"prototype":1}}',
    "1,000 keys": b"{%b}" % b",".join(b'"k%d":%d' % (n, n) for n in range(1_000)),
    "null": b"null",
    "true": b"true",
    "zero": b"0",
    "negative": b"-1",
    "float": b"1.5",
    "empty text": b'""',
    "empty list": b"[]",
    "empty object": b"{}",
    "mixed list": b'[1,"a",null,{"b":[]},1.5]',
    "comment": b"/* x */ 1",
    "nothing": b"",
    "single quotes": b"'a'",
    "year 0": b'"0000-00-00T00:00:00Z"',
    "year 10000": b'"+10000-01-01T00:00:00Z"',
    "far epoch": b"99999999999999999",
    "before epoch": b"-62135596800000",
    "odd zone": b'"2026-11-25T08:30:00+99:99"',
    "digits": '"٣٤²"'.encode(),
}
"""What may stand where a value is expected."""

# These cost a tenth of a second each where they are not refused at once; a few are enough.
_HEAVY = {"bottomless list", "bottomless object"}
_HEADERS: list[tuple[bytes, bytes]] = [
    (b"content-type", b"application/json; charset=utf-16"),
    (b"content-type", b"application/json; charset=utf-7"),
    (b"content-type", b"multipart/form-data"),
    (b"content-type", b"\xff\xfe"),
    (b"content-type", b""),
    (b"content-encoding", b"gzip"),
    (b"content-encoding", b"br"),
    (b"content-encoding", b"gzip, gzip, deflate"),
    (b"sentat", b"never"),
    (b"sentat", b"9" * 400),
    (b"sentat", b"1e999"),
    (b"sentat", "²".encode("latin-1")),
    (b"anonymousid", b"no base64!"),
    (b"anonymousid", base64.b64encode(b"\xff\xfe")),
    (b"anonymousid", base64.b64encode(b"a\x00b")),
    (b"anonymousid", base64.b64encode(b"x" * 2_000)),
    (b"ce-id", b"%00%ff"),
    (b"ce-specversion", b"9.9"),
    (b"ce-type", b"\xe4\xb8\xad"),
    (b"ce-time", b"%F0%9F"),
    (b"x-topic", b"\x80\xff"),
    (b"x-key-place", b"basic"),
    (b"x-workspace-id", b"00000000-0000-0000-0000-000000000000"),
    (b"x-request-id", b"a\tb"),
    (b"origin", b"null\x0b"),
    (b"origin", b"https://" + b"x" * 600),
    (b"access-control-request-headers", b"\xff"),
    (b"range", b"bytes=0-"),
    (b"expect", b"200-maybe"),
    (b"posthog-attempt", b"-1"),
    (b"posthog-request-timestamp", b"NaN"),
    (b"webhook-id", b"\xff"),
    (b"webhook-timestamp", "٣".encode()),
]
_QUERIES = [
    b"_=NaN", b"_=99999999999999999999999999", b"_=%C2%B2", b"compression=gzip-js", b"sentAt=%00",
    b"a=1&" * 500, b"%ff%fe=%00", b"data=%ZZ", b"=&=&&", b"writeKey=", b"token=%00",
]  # fmt: skip


def cases(seed: int, count: int) -> Iterator[Case]:
    """``count`` requests; every kind of damage meets every family in the first thousands."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    kinds: list[tuple[Callable[[random.Random, Family, str], Case], int]] = [
        (_value, 10), (_bytes, 4), (_packed, 2), (_dressed, 2), (_wrapped, 1), (_pixel, 1)
    ]  # fmt: skip
    makers = [make for make, weight in kinds for _ in range(weight)]
    names = list(FAMILIES)
    for number in range(count):
        name = names[number % len(names)]
        yield makers[rng.randrange(len(makers))](rng, FAMILIES[name], f"{name}-{number}")


def _value(rng: random.Random, family: Family, name: str) -> Case:
    """One field of an event holds what it must not; its neighbours are good."""
    kind = rng.choice(list(VALUES))
    if kind in _HEAVY and rng.random() > 0.2:
        kind = "deep list"
    event = family.event(f"bad-{name}")
    _dig(rng, event)
    bad = json.dumps(event).encode().replace(b'"%b"' % _HOLE.encode(), VALUES[kind])
    if family.listed is None or rng.random() < 0.3:
        return Case(f"{name} {kind}", _path(rng, family), bad)
    good = tuple(f"good-{name}-{n}" for n in range(2))
    before, after = (text(family.event(identity)) for identity in good)
    body = family.listed([before, bad, after])
    # Where brackets and quotes do not pair nobody can tell the events apart.
    pairs = kind not in ("unclosed",)
    return Case(f"{name} {kind}", _path(rng, family), body, good=good if pairs else ())


def _dig(rng: random.Random, event: dict[str, Any]) -> None:
    """Puts the hole into a random place, which may be a new key."""
    here: Any = event
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        key = rng.choice(keys) if keys else "new"
        inner = here[key] if keys else None
        if isinstance(inner, dict | list) and inner and rng.random() < 0.6:
            here = inner
            continue
        if isinstance(here, dict) and rng.random() < 0.15:
            key = rng.choice(["new", "", "a.b", "$set", "batch", "writeKey", "\ud800"])
        here[key] = _HOLE
        return


def _bytes(rng: random.Random, family: Family, name: str) -> Case:
    """A good body whose bytes were damaged on the way."""
    body = text(family.event(f"bad-{name}"))
    if family.listed is not None and rng.random() < 0.7:
        body = family.listed([body] * rng.randrange(4))
    damage = rng.randrange(12)
    at = rng.randrange(len(body) + 1)
    junk = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 5)))
    body = [
        lambda: body[:at],
        lambda: b"\xef\xbb\xbf" + body,
        lambda: body.decode().encode("utf-16"),
        lambda: body.decode().encode("utf-16-be"),
        lambda: body.decode().encode("utf-32"),
        lambda: body[:at] + junk + body[at:],
        lambda: body[:at] + body[at + 3 :],
        lambda: b"\x00" + body,
        lambda: body + body,
        lambda: junk * 50,
        lambda: rng.choice(
            [b"", b" ", b"null", b"0", b'"a"', b"[", b"{}", b"[]", b"[[]]", b"[1,2]"]
        ),
        lambda: b'{"batch":%b}' % rng.choice(list(VALUES.values())[:24]),
    ][damage]()
    return Case(f"{name} bytes {damage}", _path(rng, family), body)


def _packed(rng: random.Random, family: Family, name: str) -> Case:
    body = text(family.event(f"bad-{name}"))
    packed = gzip.compress(body, mtime=0)
    kinds: dict[str, Callable[[], bytes]] = {
        "cut": lambda: packed[: rng.randrange(2, len(packed))],
        "damaged": lambda: packed[:12] + bytes([rng.randrange(256)]) + packed[13:],
        "bad checksum": lambda: packed[:-8] + b"\x00" * 8,
        "header only": lambda: packed[:10],
        "twice": lambda: gzip.compress(packed, mtime=0),
        "members": lambda: gzip.compress(body[:20]) + gzip.compress(body[20:]),
        "junk after": lambda: packed + b"junk",
        "zlib": lambda: zlib.compress(body)[: rng.randrange(2, 60)],
        "zstd": lambda: zstandard.compress(body)[: rng.randrange(4, 60)],
        "magic only": lambda: rng.choice([b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x78\x9c"]),
    }
    kind = rng.choice(list(kinds))
    made = kinds[kind]()
    if rng.random() < 0.05:
        kind = rng.choice(list(bombs()))
        made = bombs()[kind]
    return Case(f"{name} packed: {kind}", _path(rng, family), made)


@cache
def bombs() -> dict[str, bytes]:
    """Small bodies that become 100 MB, or that take long to become nothing."""
    much = b" " * 100_000_000
    spaces = gzip.compress(much, 9, mtime=0)
    return {
        "gzip bomb": spaces,
        "gzip in gzip bomb": gzip.compress(spaces, 9, mtime=0),
        "many members": gzip.compress(b"", mtime=0) * 200_000,
        "members of a megabyte": gzip.compress(b" " * 1_000_000, mtime=0) * 200,
        "zlib bomb": zlib.compress(much, 9),
        "zstd bomb": zstandard.compress(much),
        "bomb behind JSON": gzip.compress(b'{"batch":[', mtime=0) + spaces,
    }


def _dressed(rng: random.Random, family: Family, name: str) -> Case:
    headers = rng.sample(_HEADERS, rng.randrange(1, 5))
    body = text(family.event(f"bad-{name}"))
    return Case(
        f"{name} dressed", _path(rng, family), body, headers=headers, query=rng.choice(_QUERIES)
    )


def _wrapped(rng: random.Random, family: Family, name: str) -> Case:
    coded = base64.b64encode(text(family.event(f"bad-{name}")))
    body = rng.choice(
        [
            b"data=" + coded[: rng.randrange(len(coded))],
            b"data=" + coded + b"====",
            b"data=%FF%FE%00",
            b"data=" + base64.b64encode(rng.choice(list(VALUES.values())[:24])),
            b"compression=base64&data=",
            b"a=1&" * 300 + b"data=" + coded,
            b"data=data=data=",
        ]
    )
    return Case(f"{name} wrapped", _path(rng, family), body)


def _pixel(rng: random.Random, family: Family, name: str) -> Case:
    call = rng.choice(["track", "identify", "page", "alias", "batch", "\u00e9", "a" * 300])
    value = rng.choice(list(VALUES.values())[:30])[:3_000]
    data = quote(base64.b64encode(b'{"event":%b,"userId":"u"}' % value)).encode()
    query = rng.choice(
        [b"data=" + data, b"data=" + quote(value).encode(), b"a.b=1&a=2&a.b.c=3", b"event=%00"]
    )
    path = rng.choice([f"/v1/pixel/{call}", f"/pixel/v1/{call}"])
    return Case(f"{name} pixel", path, b"", query=query, method="GET")


def _path(rng: random.Random, family: Family) -> str:
    return rng.choice(family.paths) + rng.choice(["", "", "/"])
