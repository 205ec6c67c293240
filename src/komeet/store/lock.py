"""Who may use a data directory: one server, with its workers."""

import fcntl
import os
import time
from pathlib import Path
from typing import final

from komeet.store.errors import StoreError

_NAME = "komeet.lock"
_TURN = 0.05


@final
class DirectoryLock:
    """The exclusive use of a data directory, until it is closed, or shared with workers, or the process ends somehow.

    It is the system's lock on a file that is never removed; the number inside only tells people who holds it. Whoever
    has it knows that nobody else has: no other server, and none of the workers that an earlier one left behind.
    """

    __slots__ = ("_directory", "_file")

    def __init__(self, directory: Path, patience: float = 5.0) -> None:
        """Take the lock.

        Args:
            directory: is there.
            patience: seconds to wait for the workers of a server that has ended; they end by themselves. A server that
                runs is not waited for.

        Raises:
            StoreError: another server has it, or workers of one that ended; names its process.
            OSError: the file cannot be made.
        """
        self._directory = directory
        self._file = _open(directory)
        try:
            self._take(patience)
        except BaseException:
            os.close(self._file)
            raise
        os.truncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def share(self) -> None:
        """Let workers in, and still no other server.

        Raises:
            StoreError: another process took the directory at this very moment.
        """
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:  # the system lets go of the one lock before it gives the other
            raise StoreError(f"Another process took {self._directory} while it was being prepared.") from None

    def close(self) -> None:
        """Let another server have the directory, once the workers have ended too."""
        os.close(self._file)

    def _take(self, patience: float) -> None:
        waited = 0.0
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _holder(self._file)
                if waited >= patience or _runs(holder):
                    raise StoreError(self._taken(holder)) from None
            else:
                return
            time.sleep(_TURN)
            waited += _TURN

    def _taken(self, holder: str) -> str:
        if not _runs(holder):
            return (
                f"Workers of a Komeet server (process {holder}, which has ended or is on another machine) are using "
                f"{self._directory}. Stop them, or start this one with another --data-dir."
            )
        return (
            f"Another Komeet server (process {holder}) is using {self._directory}. "
            "Stop it, or start this one with another --data-dir."
        )


@final
class WorkerLock:
    """A worker's part in its server's use of a data directory, until it is closed or the process ends somehow."""

    __slots__ = ("_file",)

    def __init__(self, directory: Path) -> None:
        """Take part.

        Raises:
            StoreError: a server is preparing the directory, which is then not the one of this worker.
            OSError: the file cannot be opened.
        """
        self._file = _open(directory)
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(self._file)
            os.close(self._file)
            raise StoreError(f"Another Komeet server (process {holder}) is taking over {directory}.") from None

    def close(self) -> None:
        """Leave."""
        os.close(self._file)


def _open(directory: Path) -> int:
    return os.open(directory / _NAME, os.O_RDWR | os.O_CREAT, 0o600)


def _holder(file: int) -> str:
    return os.pread(file, 32, 0).decode("ascii", "replace").strip() or "unknown"


def _runs(holder: str) -> bool:
    """Whether a process of this number is there; so too where that cannot be known."""
    try:
        os.kill(int(holder), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, OSError):
        return True
    return True
