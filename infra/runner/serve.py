"""Runs one service's app: ``python -m infra.runner.serve APP PORT RUNNER_PID``."""

import sys
from importlib import import_module

import uvicorn

from infra.runner.parent import end_with_parent
from infra.runner.ports import LOOPBACK
from services.kit.server import Protocol

# Open requests and streams get this long at a stop; the whole platform has 15 seconds.
GRACE_SECONDS = 3


def main(app: str, port: int, parent: int) -> None:
    end_with_parent(parent)
    import_module(app.partition(":")[0])
    # Loading takes longer than migrating, so the runner has us do it at the same time and closes
    # our input when the database is ready. A restarted child finds it closed already.
    sys.stdin.buffer.read()
    uvicorn.run(
        app,
        factory=True,
        host=LOOPBACK,
        port=port,
        loop="uvloop",
        http=Protocol,
        access_log=False,
        server_header=False,
        # Only the gateway has a client whose address matters; it may stand behind a proxy.
        proxy_headers=app.startswith("gateway."),
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
