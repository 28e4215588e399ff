"""What is wrong with one event, wherever ingestion finds it."""


class Refused(Exception):
    """The event goes to quarantine: ``reason`` is a stable word, ``pointer`` the field in it."""

    def __init__(self, reason: str, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.pointer = pointer
        self.detail = detail
