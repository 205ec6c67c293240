"""Ties a process to the one that started it: where the system can, it is killed in the moment that one ends."""

import os
import signal
import sys
from contextlib import suppress
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def tie(parent: int) -> None:
    """Ask Linux to end this process with process `parent`, and end now if that has gone already.

    Elsewhere, and where Linux refuses, nothing is lost: a worker's line closes with its supervisor.
    """
    if sys.platform != "linux":
        return
    with suppress(ImportError, OSError, AttributeError, MemoryError):  # hardened systems may have no `ctypes`
        import ctypes  # noqa: PLC0415

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it could be tied to
        os._exit(1)
