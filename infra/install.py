"""Installs hash-checked requirements from wherever this machine installs packages from.

Run by the Makefile with nothing installed but uv: standard library only. uv does not read pip's
configuration, so what pip knows about indexes is handed over; where uv cannot use it, pip does
the work, more slowly.
"""

import os
import subprocess
import sys
from pathlib import Path

# pip's option → uv's variable, where the values mean the same.
_SHARED = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}


def pip_options() -> dict[str, str]:
    """pip's options by name; the environment wins over the files, as in pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found: dict[str, str] = {}
    for line in sorted(listed.splitlines(), reverse=True):
        key, _, value = line.partition("=")
        scope, _, option = key.partition(".")
        if scope in ("global", "install", ":env:"):
            found[option.lstrip(".")] = value.strip().strip("'\"")
    return found


def environment() -> dict[str, str]:
    """This process's environment with pip's indexes as uv's, unless uv has its own."""
    given = dict(os.environ)  # noqa: TID251 - handed on
    for option, value in pip_options().items():
        variable = _SHARED.get(option)
        if variable is not None:
            separator = "," if variable == "UV_FIND_LINKS" else " "
            given.setdefault(variable, separator.join(value.split()))
    # Several indexes are looked through as pip does; what they may deliver is fixed by hashes.
    given.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return given


def main(requirements: str) -> int:
    uv = Path(sys.executable).with_name("uv")
    # Compiled now: else the first start does it, in six processes at the same time.
    quick = [str(uv), "pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes"]
    command = [*quick, "--python", sys.executable, requirements]
    if subprocess.run(command, env=environment(), check=False).returncode == 0:
        return 0
    print("uv could not install them; trying pip.", file=sys.stderr)
    slow = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "-r"]
    return subprocess.run([*slow, requirements], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
