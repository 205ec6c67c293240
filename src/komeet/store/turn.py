"""Whose turn it is to write: processes that write one database all the time take turns, rather than win or starve."""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final

_NOW, _NEXT = 0, 1
"""The bytes of the file that are locked: by whoever writes, and by whoever is next."""
_SOON, _LATER = 0.0003, 0.002


@final
class Turn:
    """A courtesy between processes. Who may write is the database's decision; this is about who waits how long.

    A process that waits for SQLite's own lock looks after it at intervals that grow to 100 ms: one that has much to
    write takes it again at once, and the others wait for seconds. Here the one that is next is asked for: it waits
    closely, and nobody overtakes it. Each process has one of these for a file.
    """

    __slots__ = ("_file", "_patience")

    def __init__(self, path: Path, patience: float = 1.0) -> None:
        """Open the file, which is made if it is not there.

        Args:
            path: of a file that nobody else opens, since closing it would end this process's locks.
            patience: seconds after which a turn begins all the same: somebody may have been halted in theirs.

        Raises:
            OSError: it cannot be made.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._patience = patience

    @contextmanager
    def taken(self) -> Generator[None]:
        """Have the turn for as long as the context lasts; waits for it. Not for two threads at once."""
        waited = self._wait(_NEXT, _LATER, 0.0)
        self._wait(_NOW, _SOON, waited)
        self._let_go(_NEXT)
        try:
            yield
        finally:
            self._let_go(_NOW)

    def close(self) -> None:
        """Close the file; no turn is to be taken any more."""
        os.close(self._file)

    def _wait(self, what: int, pause: float, waited: float) -> float:
        """Take what is to be taken, or lose patience; return how long it took, waiting so far included."""
        while waited < self._patience:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, what)
            except (BlockingIOError, PermissionError):  # it is somebody else's
                time.sleep(pause)
                waited += pause
            except OSError:  # there are no locks to be had here
                break
            else:
                break
        return waited

    def _let_go(self, what: int) -> None:
        with suppress(OSError):
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, what)
