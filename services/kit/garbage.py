"""How often a process looks for garbage that reference counting does not find."""

import gc


def spare_collections() -> None:
    """To be called once started: garbage is looked for less often.

    A block of events is some 100,000 objects without a cycle, and walking them again and again
    tripled the time that decoding takes; under load a full walk holds up every request.
    """
    # What start-up made stays for ever: collections need not walk it on the hot path.
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
