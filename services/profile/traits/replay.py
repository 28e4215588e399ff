"""Makes traits anew from their history. Pure."""

from collections.abc import Iterable

from services.profile.profiles.traits import Meta, Traits
from services.profile.traits.ledger import Line


def replay(lines: Iterable[Line]) -> Traits:
    """What the statements come to, in the order of the log, whatever order they are given in.

    One that lost to another that is not given (another subject's, say, after an unmerge) is weighed
    again, and may count. ``changed`` stays empty.
    """
    known = sorted(lines, key=lambda line: line.seq)
    given = {(line.key, line.seq) for line in known}
    traits = Traits()
    for line in known:
        # A repetition has no line but made a value newer: the one it lost to decides, not the rank.
        if line.lost_to is None or (line.key, line.lost_to) not in given:
            meta = Meta(line.at, line.priority, line.source, line.seq)
            traits.say(line.key, line.value, meta)
    traits.changed.clear()
    return traits
