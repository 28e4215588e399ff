"""The list of an id store's files and the log offsets they cover: replaced as a whole or not."""

import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

_NAME = "manifest.json"


class TornManifest(Exception):
    """The manifest is not what was written."""


class Covered(NamedTuple):
    """The last row whose keys are known: its offset, and when it was appended (ms), which tells
    whether it still is the same row of the same log."""

    offset: int
    at_ms: int


class Listed(NamedTuple):
    """A file, the week (since the epoch) of its newest keys, how many it holds."""

    name: str
    week: int
    keys: int


class Manifest(msgspec.Struct, frozen=True):
    segments: list[Listed] = msgspec.field(default_factory=list)
    covered: dict[str, Covered] = msgspec.field(default_factory=dict)
    """By log partition."""
    number: int = 0

    def next_name(self) -> str:
        """For the next file. An older one of this name was never listed, or is not any more."""
        return f"{self.number + 1:08}.keys"

    def following(
        self, held: Iterable[tuple[Listed, object]], covered: dict[str, Covered]
    ) -> "Manifest":
        return Manifest([listed for listed, _ in held], covered, self.number + 1)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Empty in a new folder; ``TornManifest`` when it cannot be trusted."""
        path = folder / _NAME
        if not path.exists():
            return cls()
        checksum, _, body = path.read_bytes().partition(b"\n")
        if checksum != _checksum(body):
            raise TornManifest("the manifest's checksum differs")
        try:
            return msgspec.json.decode(body, type=cls)
        except msgspec.DecodeError as error:
            raise TornManifest(str(error)) from error

    def write(self, folder: Path) -> None:
        """Returns when it is on disk, with the files it names."""
        body = msgspec.json.encode(self)
        fresh = folder / f"{_NAME}.new"
        with fresh.open("wb") as file:
            file.write(_checksum(body) + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(folder / _NAME)
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _checksum(body: bytes) -> bytes:
    return f"{zlib.crc32(body):08x}".encode()
