"""``make lock``: resolve the dependencies, then take the registry's hosts out of ``uv.lock``."""

import re
import subprocess
import sys
from pathlib import Path

from infra.install import environment

PLACEHOLDER = "registry.invalid"
LOCK = Path(__file__).parent.parent / "uv.lock"
_ADDITIONAL = {"UV_INDEX", "UV_FIND_LINKS"}
_HOST = re.compile(r"(?<=\")(https?)://[^/\"]+")


def without_hosts(lock: str) -> str:
    """The lock with one invented host in every address, so that it tells what but not where."""
    return _HOST.sub(f"https://{PLACEHOLDER}", lock)


def main() -> int:
    uv = Path(sys.executable).with_name("uv")
    # Versions stay as they are unless --upgrade is given: uv takes them from the present lock.
    command = [str(uv), "lock", *sys.argv[1:]]
    # One index only: a package found in a directory of this machine would be locked to its path.
    given = {key: value for key, value in environment().items() if key not in _ADDITIONAL}
    code = subprocess.run(command, env=given, cwd=LOCK.parent, check=False).returncode
    if code == 0:
        LOCK.write_text(without_hosts(LOCK.read_text()))
    return code


if __name__ == "__main__":
    sys.exit(main())
