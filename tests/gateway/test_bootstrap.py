"""``python -m gateway.bootstrap`` as the runner calls it."""

import json
import subprocess
import sys

from gateway.keys.secret import parse
from tests.support.postgres import Database


def test_it_prints_a_workspace_and_its_keys_as_json(gateway_database: Database) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.bootstrap", "--name", "Shop"],
        env={"GATEWAY_POSTGRES_DSN": gateway_database.app_dsn},
        capture_output=True,
        check=True,
    )
    made = json.loads(done.stdout)
    assert set(made) == {"workspace_id", "source_id", "write_key", "secret_key"}
    kinds = [key.kind for name in ("write_key", "secret_key") if (key := parse(made[name]))]
    assert kinds == ["write", "secret"]
