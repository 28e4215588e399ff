"""What came with a refused event and is needed to try it again. Pure."""

import msgspec

from services.tracking.ingest.wire import DECODE_ERRORS


class Circumstances(msgspec.Struct, omit_defaults=True):
    """Everything ingestion looked at that is not in the event's own bytes."""

    call: str | None = None
    """The SDK call of a single event, which need not name its type; None in a batch."""
    protocol: str = ""
    """Whose adapter translates the event; none for what Segment's clients send."""
    shared: msgspec.Raw = msgspec.Raw(b"null")
    """``Calls.shared`` of its request."""
    position: int | None = None
    """Its place in the list it came in, of other protocols; None where it came alone."""
    context: msgspec.Raw = msgspec.Raw(b"null")
    """The batch's, which its events share."""
    context_dropped: bool = False
    """What they share was too large to be kept beside each of them: this one cannot be tried
    again."""
    sent_at: int | None = None
    server_key: bool = False
    message_id: str = ""
    """The id that ingestion had made for an event without one."""


_decoder = msgspec.json.Decoder(Circumstances)
_encoder = msgspec.json.Encoder()


def encode(circumstances: Circumstances) -> bytes:
    return _encoder.encode(circumstances)


def decode(data: bytes | None) -> Circumstances:
    """Those of rows from before they were kept, and of rows that are no JSON, are unknown: none."""
    try:
        return _decoder.decode(data or b"{}")
    except DECODE_ERRORS:
        return Circumstances()
