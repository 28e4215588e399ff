"""The public API as the demo uses it: JSON in, JSON out, a refusal is an error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import httpx2

from infra.demo.instance import DemoFailed, Instance

_POLL_SECONDS = 0.25
_PAGE = 500


class Api:
    """A client with the instance's secret key."""

    def __init__(self, instance: Instance) -> None:
        self._client = httpx2.Client(
            base_url=f"{instance.url}/api/v1",
            headers={"Authorization": f"Bearer {instance.secret_key}"},
            timeout=120.0,
        )

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        return self._call("GET", path, params=query).json()

    def post(self, path: str, body: Any, **query: Any) -> Any:
        return self._call("POST", path, params=query, json=body).json()

    def put(self, path: str, body: Any) -> Any:
        return self._call("PUT", path, json=body).json()

    def text(self, path: str, **query: Any) -> str:
        return self._call("GET", path, params=query).text

    def items(self, path: str, **query: Any) -> Iterator[Any]:
        """All items of a paged list."""
        cursor: str | None = None
        while True:
            page = self.get(path, limit=_PAGE, **query, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _call(self, method: str, path: str, **more: Any) -> httpx2.Response:
        try:
            answer = self._client.request(method, path, **more)
        except httpx2.TransportError as error:
            raise DemoFailed(f"{method} {path}: {type(error).__name__} {error}") from error
        if answer.is_error:
            raise DemoFailed(f"{method} {path} answered {answer.status_code}: {answer.text[:2000]}")
        return answer


def until(
    what: str, seconds: float, holds: Callable[[], bool], every: float = _POLL_SECONDS
) -> float:
    """Poll until `holds`; the seconds it took. Raises DemoFailed naming `what` after `seconds`."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > seconds:
            raise DemoFailed(f"waited {seconds:.0f} s in vain for: {what}")
        time.sleep(every)
    return time.monotonic() - started
