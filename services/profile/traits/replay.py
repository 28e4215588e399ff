"""Makes traits anew from their history. Pure."""

from collections.abc import Iterable

from services.profile.profiles.traits import Meta, Traits
from services.profile.traits.ledger import Line


def replay(lines: Iterable[Line]) -> Traits:
    """What the statements come to, in the order of the log, whatever order they are given in.

    Those that did not count are weighed as well: without the statements that stood against them
    (another subject's, say, after an unmerge) they may count now. ``changed`` stays empty.
    """
    traits = Traits()
    for line in sorted(lines, key=lambda line: line.seq):
        traits.say(line.key, line.value, Meta(line.at, line.priority, line.source))
    traits.changed.clear()
    return traits
