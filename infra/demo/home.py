"""Where the demo's instance lives: in DATA_DIR, unless that is taken by other data.

The demo promises exact numbers, so it needs a workspace that holds its files and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.demo.api import Api
from infra.demo.instance import Instance, InUse, running

FILES = ("portfolio.json", "profile.json.gz", "transcript.json.gz")
_MARK = "dataset"


@contextmanager
def settled(data: Path, data_dir: Path) -> Iterator[tuple[Instance, Path]]:
    """A running instance for the files in `data`, and its data directory.

    That is `data_dir` when its workspace is empty or was filled by a demo with the same files;
    else a directory below it, kept for these files.
    """
    digest, out = dataset(data), data_dir / "demo"
    own = out / f"instance-{digest[:12]}"
    try:
        with running(data_dir, out / "instance.log") as instance:
            if _mark(out, digest, instance):
                yield instance, data_dir
                return
    except InUse:
        pass
    with running(own, out / "instance.log") as instance:
        yield instance, own


def dataset(data: Path) -> str:
    """What tells one set of files from another."""
    digest = hashlib.sha256()
    for name in FILES:
        digest.update(hashlib.sha256((data / name).read_bytes()).digest())
    return digest.hexdigest()


def missing(data: Path) -> list[str]:
    """The files that are not there."""
    return [name for name in FILES if not (data / name).is_file()]


def _mark(out: Path, digest: str, instance: Instance) -> bool:
    mark = out / _MARK
    if mark.exists():
        return mark.read_text() == digest
    with Api(instance) as api:
        if api.get("/profiles", limit=1)["items"] or api.get("/events", limit=1)["items"]:
            return False
    mark.write_text(digest)
    return True
