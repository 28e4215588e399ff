"""A process that ends when its parent does, even when the parent was killed with -9."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, signum: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel for `signum` at the death of `parent`, the process id of our parent.

    Only Linux knows how; elsewhere the next start finds what was left and stops it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signum))
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)
