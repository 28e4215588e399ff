"""What a rule that means nothing is answered with."""


class RuleInvalid(ValueError):
    """A rule was refused: `pointer` (RFC 6901) says where, `detail` what would be accepted."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer or '(root)'}: {detail}")
        self.pointer = pointer
        self.detail = detail
