"""``python -m infra.runner``: all of Waymark on this machine, until Ctrl-C.

Exit codes: 0 stopped when asked to, 1 something did not start, 75 the data directory or the port
is in use. With ``--tied`` it also stops when the process that started it ends.
"""

import argparse
import os
import sys

from pydantic import ValidationError

from infra.runner.cluster import PostgresFailed
from infra.runner.credentials import Credentials
from infra.runner.lock import AlreadyRunning
from infra.runner.parent import end_with_parent
from infra.runner.ports import PortTaken
from infra.runner.privilege import NoWayToDropRoot
from infra.runner.settings import RunnerSettings
from infra.runner.supervisor import StartFailed, Supervisor
from infra.runner.topology import Topology

FAILED = 1
IN_USE = 75


def say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.runner")
    parser.add_argument("--tied", action="store_true", help="stop when the parent process ends")
    if parser.parse_args().tied:
        end_with_parent(os.getppid())
    try:
        settings = RunnerSettings()
    except ValidationError as error:
        return _fail(
            "\n".join(f"{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors()), FAILED
        )
    data_dir = settings.data_dir
    say(f"Starting Waymark on {data_dir} …")

    def announce(credentials: Credentials, topology: Topology) -> None:
        url = topology.gateway.url
        say(
            f"\nWaymark is ready.\n"
            f"  API          {url}/api/v1      (documentation: {url}/docs)\n"
            f"  Events       {url}/v1/batch\n"
            f"  Workspace    {credentials.workspace_id}\n"
            f"  Write key    {credentials.write_key}\n"
            f"  Secret key   {credentials.secret_key}\n"
            f"  Credentials  {data_dir / 'credentials.json'}\n"
            f"  Logs         {data_dir / 'logs'}\n"
            f"  Metrics      {topology.metrics['tracking-store']}  (event log and its readers)\n"
            f"               {topology.metrics['gateway']}  (gateway)\n"
            "Ctrl-C stops it."
        )

    try:
        Supervisor(data_dir, settings.port, say).run(announce)
    except (AlreadyRunning, PortTaken) as error:
        return _fail(str(error), IN_USE)
    except (StartFailed, PostgresFailed, NoWayToDropRoot) as error:
        return _fail(str(error), FAILED)
    say("Stopped.")
    return 0


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
