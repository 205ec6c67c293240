"""The journal of one process on disk: files that grow record by record, each held by a lock while the process lives."""

import fcntl
import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from typing import Final, NamedTuple, final

from msgspec import structs

from komeet.ledger.journal import Header, write_header

SUFFIX: Final = ".journal"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_LARGE: Final = 32 << 20
"""Bytes after which a new file is begun."""
_write: Final = os.write


class Position(NamedTuple):
    """How far a journal is: everything before it."""

    segment: int
    offset: int


def journals(directory: Path) -> Path:
    """Return where the journals of a data directory are."""
    return directory / "journal"


def boot_id() -> str:
    """Return what tells this run of the machine from its earlier ones; empty where the system does not say."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


@final
class JournalFile:
    """Takes the records of one process. Not for two threads at once."""

    def __init__(self, directory: Path, header: Header) -> None:
        """Begin the journal's first file.

        Raises:
            OSError: it cannot be made, or one of this session is there.
        """
        self._directory: Final = directory
        self._header: Final = header
        directory.mkdir(mode=0o700, exist_ok=True)
        self._earlier: Final[deque[tuple[int, int]]] = deque()
        """Descriptors of the files before the last, which are still needed, by segment."""
        self._segment = header.segment
        self._file, self._offset = self._begin(header)

    @property
    def position(self) -> Position:
        """The end of what is written."""
        return Position(self._segment, self._offset)

    def append(self, record: bytes) -> Position:
        """Write a record, and return the position after it: what a crash of this process does not take away.

        Raises:
            OSError: it is not written, for want of space for example; what is there stays as it was.
        """
        if self._offset >= _LARGE:
            self._roll()
        try:
            _write_whole(self._file, record)
        except OSError:
            self._undo()
            raise
        self._offset += len(record)
        return Position(self._segment, self._offset)

    def drained(self, position: Position) -> None:
        """Delete the files of which all is in the database."""
        while self._earlier and self._earlier[0][0] < position.segment:
            segment, file = self._earlier.popleft()
            with suppress(FileNotFoundError):
                self._path(segment).unlink()
            os.close(file)

    def close(self, *, delete: bool) -> None:
        """Let the files go; `delete` them where all is in the database."""
        for segment, file in (*self._earlier, (self._segment, self._file)):
            if delete:
                with suppress(FileNotFoundError):
                    self._path(segment).unlink()
            os.close(file)
        self._earlier.clear()

    def _roll(self) -> None:
        header = structs.replace(self._header, segment=self._segment + 1)
        file, offset = self._begin(header)
        self._earlier.append((self._segment, self._file))
        self._segment, self._file, self._offset = header.segment, file, offset

    def _begin(self, header: Header) -> tuple[int, int]:
        path = self._path(header.segment)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            beginning = write_header(header)
            _write_whole(file, beginning)
        except BaseException:
            path.unlink()
            os.close(file)
            raise
        return file, len(beginning)

    def _undo(self) -> None:
        """Take away the part of a record that was written: what follows it could not be read."""
        os.ftruncate(self._file, self._offset)

    def _path(self, segment: int) -> Path:
        return self._directory / f"{self._header.session}.{segment:06d}{SUFFIX}"


def _write_whole(file: int, data: bytes) -> None:
    written = _write(file, data)
    if written != len(data):
        raise OSError(ENOSPC, f"only {written} of {len(data)} bytes were written")


@final
class DeadJournal:
    """The files of a process that has ended, in the hands of whoever settles it."""

    def __init__(self, session: str, paths: list[Path], files: list[int]) -> None:
        """Know the files, oldest first, each locked."""
        self.session: Final = session
        self._paths: Final = paths
        self._files: Final = files

    def read(self) -> Iterator[bytes]:
        """Yield each file's bytes, oldest first."""
        for path in self._paths:
            yield path.read_bytes()

    def delete(self) -> None:
        """Delete the files: all is in the database."""
        for path in self._paths:
            with suppress(FileNotFoundError):
                path.unlink()

    def close(self) -> None:
        """Let the files go."""
        for file in self._files:
            os.close(file)
        self._files.clear()


def is_alive(directory: Path, session: str) -> bool:
    """Whether the process whose journal this is still has it."""
    for path in directory.glob(f"{session}.*{SUFFIX}"):
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
    return False


def dead_journals(directory: Path, session: str | None = None) -> Iterator[DeadJournal]:
    """Yield the journals whose processes have ended, each locked until it is closed.

    Args:
        directory: of journals; need not be there.
        session: only that of this session.

    Raises:
        OSError: a file cannot be read.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        found.setdefault(path.name.rsplit(".", 2)[0], []).append(path)
    for name, paths in found.items():
        if session is not None and name != session:
            continue
        files: list[int] = []
        try:
            for path in paths:
                files.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))
                fcntl.flock(files[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):  # its process lives, or somebody has just settled it
            for file in files:
                os.close(file)
            continue
        yield DeadJournal(name, paths, files)
