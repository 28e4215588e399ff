"""The shape of the repository: who may import whom, how large a file is, what make offers."""

import ast
import importlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.instance import REPOSITORY

CODE = ("services", "gateway", "cli", "infra", "tests")
LARGEST_FILE_BYTES = 16 * 1024

# Contract → a file and an import in it that the contract forbids.
VIOLATIONS = {
    "Layers: gateway and services over rules and identifiers over contracts and kit": (
        "services/kit/__init__.py",
        "import services.rules",
    ),
    "No service imports another service; the gateway reaches services by HTTP only": (
        "services/profile/__init__.py",
        "import services.tracking",
    ),
    "Contracts are pydantic and the standard library only": (
        "services/contracts/__init__.py",
        "import sqlalchemy",
    ),
    "The rule language does no I/O": ("services/rules/__init__.py", "import httpx2"),
    "The console script is an HTTP client and nothing more": ("cli/__init__.py", "import services"),
}


def _python_files() -> list[Path]:
    return [path for root in CODE for path in (REPOSITORY / root).rglob("*.py")]


def test_every_import_contract_has_a_violation_here() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == set(VIOLATIONS)


def test_each_import_contract_breaks_on_its_violation(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    for root in CODE[:-1]:
        shutil.copytree(REPOSITORY / root, tmp_path / root)
    for file, line in VIOLATIONS.values():
        with (tmp_path / file).open("a") as source:
            source.write(f"\n{line}\n")
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [str(linter), "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    broken = {name for name in VIOLATIONS if f"{name} BROKEN" in " ".join(done.stdout.split())}
    assert broken == set(VIOLATIONS), done.stdout
    assert done.returncode != 0


def test_no_file_is_too_long_to_be_read() -> None:
    large = {path for path in _python_files() if path.stat().st_size > LARGEST_FILE_BYTES}
    assert not large


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        path
        for path in _python_files()
        if path.relative_to(REPOSITORY).parts[0] != "tests"
        and path.stat().st_size
        and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


@pytest.mark.parametrize("name", ["profile", "secrets"])
def test_our_folders_do_not_hide_the_standard_library(name: str) -> None:
    module = importlib.import_module(name)
    assert not Path(str(module.__file__)).is_relative_to(REPOSITORY / "services")
    assert not Path(str(module.__file__)).is_relative_to(REPOSITORY / "infra")


def test_make_help_lists_the_verbs() -> None:
    done = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    listed = {line.split()[1] for line in done.stdout.splitlines()}
    assert listed >= {"run", "demo", "test", "lint", "types", "imports", "openapi", "bench", "lock"}
