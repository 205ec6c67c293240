"""One server for each data directory."""

import fcntl
import os
from pathlib import Path
from typing import final

from komeet.store.errors import StoreError

_NAME = "komeet.lock"


@final
class DirectoryLock:
    """The exclusive use of a data directory, until it is closed or the process ends in whatever way.

    It is the system's lock on a file that is never removed; the number inside only tells people who holds it.
    """

    __slots__ = ("_file",)

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Raises:
            StoreError: another server has it; names its process.
            OSError: the file cannot be made.
        """
        self._file = os.open(directory / _NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise StoreError(
                f"Another Komeet server (process {holder}) is using {directory}. "
                "Stop it, or start this one with another --data-dir."
            ) from None
        os.truncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def close(self) -> None:
        """Let another server have the directory."""
        os.close(self._file)
