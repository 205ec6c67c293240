"""A folder for what is not whole yet: gone when the work ends, and, after a crash, when the next work there begins."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_PREFIX = ".komeet-part-"


@contextmanager
def staging(parent: Path) -> Generator[Path]:
    """Give a new folder in `parent`, which only its owner may read; it and what is in it are removed in the end.

    Folders that a process left behind when it was killed are removed too. The system's lock on a folder says that
    somebody still works in it.

    Raises:
        OSError: `parent` is not there, or cannot be written.
    """
    _sweep(parent)
    folder, lock = _locked(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def new_file(path: Path) -> BinaryIO:
    """Open a file that must not be there yet for writing; only its owner may read it, from its first byte on."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _locked(parent: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = _lock(folder)
        if lock is not None:
            return folder, lock
        # Between its making and its locking another process took it for one that was left behind.


def _lock(folder: Path) -> int | None:
    """The handle that locks a folder; None where it is somebody else's, or gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    if not folder.exists():  # it was removed before it could be locked
        os.close(handle)
        return None
    return handle


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        lock = _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
