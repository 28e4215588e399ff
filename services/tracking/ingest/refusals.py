"""What is refused of a request → rows of the quarantine. Pure."""

import msgspec
from msgspec.structs import replace

from services.tracking.ingest.convert import Origin
from services.tracking.ingest.refused import Refused
from services.tracking.log.port import Quarantined
from services.tracking.plans.apply import ViolatesPlan
from services.tracking.quarantine.origin import Circumstances, encode

MAX_SHARED_BYTES = 5 * 1024 * 1024
"""What the events of a batch share may take in all, kept once per refused event: no more than a
body."""
_NOTHING = msgspec.Raw(b"null")


class Refusals:
    """Collects what is refused of one request."""

    def __init__(
        self,
        origin: Origin,
        call: str | None = None,
        *,
        protocol: str = "",
        shared: bytes = b"null",
    ) -> None:
        """``protocol``, ``shared``: how the events have to be translated again, see ``Calls``."""
        self.kept: list[Quarantined] = []
        self._origin = origin
        self._room = MAX_SHARED_BYTES
        self._whole = Circumstances(
            call=call,
            protocol=protocol,
            shared=msgspec.Raw(shared),
            context=msgspec.Raw(origin.context),
            sent_at=origin.sent_at,
            server_key=origin.server_key,
        )

    def add(
        self,
        raw: bytes | msgspec.Raw,
        pointer: str,
        error: Refused,
        position: int | None = None,
    ) -> None:
        """``pointer``: the event's place in the body; ``position``: in another protocol's list."""
        detail = error.detail.replace("\x00", "")
        workspace_id, source_id = self._origin.workspace_id, self._origin.source_id
        kept = replace(self._circumstances(), position=position)
        violations = None
        if isinstance(error, ViolatesPlan):
            kept = replace(kept, message_id=error.message_id)
            violations = error.record()
        origin = encode(kept)
        self.kept.append(
            Quarantined(
                workspace_id,
                source_id,
                error.reason,
                pointer + error.pointer,
                detail,
                bytes(raw),
                origin,
                violations,
            )
        )

    def _circumstances(self) -> Circumstances:
        self._room -= len(self._whole.context) + len(self._whole.shared)
        if self._room >= 0:
            return self._whole
        return replace(self._whole, context=_NOTHING, shared=_NOTHING, context_dropped=True)
