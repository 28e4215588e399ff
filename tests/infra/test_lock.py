"""The committed lock: complete, hashed, and silent about where packages come from."""

import json
import re
import tomllib

from infra.lock import LOCK, PLACEHOLDER, without_hosts

PROJECT = tomllib.loads((LOCK.parent / "pyproject.toml").read_text())
LOCKED = tomllib.loads(LOCK.read_text())


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower()


def test_the_lock_names_no_host_and_no_directory() -> None:
    addresses = re.findall(r"\b\w+://[^/\"]*", LOCK.read_text())
    assert set(addresses) == {f"https://{PLACEHOLDER}"}


def test_every_declared_dependency_is_locked_as_declared() -> None:
    (waymark,) = (each for each in LOCKED["package"] if each["name"] == "waymark")
    declared = {_name(each) for each in PROJECT["project"]["dependencies"]}
    assert {each["name"] for each in waymark["metadata"]["requires-dist"]} == declared
    development = {_name(each) for each in PROJECT["dependency-groups"]["dev"]}
    locked = {each["name"] for each in waymark["metadata"]["requires-dev"]["dev"]}
    assert locked == development


def test_every_locked_file_has_a_hash() -> None:
    for package in LOCKED["package"]:
        files = [*package.get("wheels", []), *filter(None, [package.get("sdist")])]
        assert files or package["name"] == "waymark"
        assert all(each["hash"].startswith("sha256:") for each in files)


def test_the_lock_of_the_clients_under_test_pins_and_hashes_and_names_no_registry() -> None:
    clients = LOCK.parent / "tests/sdk"
    locked = json.loads((clients / "package-lock.json").read_text())["packages"]
    wanted = json.loads((clients / "package.json").read_text())["dependencies"]
    assert locked.pop("")["dependencies"] == wanted
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
    assert all("integrity" in each and "resolved" not in each for each in locked.values())


def test_hosts_are_replaced_and_paths_are_kept() -> None:
    line = '{ url = "https://files.example.org/ab/x-1.whl", hash = "sha256:0" }'
    assert without_hosts(line) == line.replace("files.example.org", PLACEHOLDER)
    assert without_hosts(without_hosts(line)) == without_hosts(line)


def test_no_committed_file_of_the_installation_names_an_index() -> None:
    for name in ("Makefile", "infra/install.py", "infra/Dockerfile"):
        text = (LOCK.parent / name).read_text()
        assert not re.search(r"https?://(?!127\.0\.0\.1)", text), name
