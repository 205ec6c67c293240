"""A data directory: `komeet.db` (keys and money), `requests.db` (the request log), and `komeet.lock`."""

from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import final

from sqlalchemy.exc import DBAPIError

from komeet.core.clock import Clock
from komeet.store.errors import StoreError
from komeet.store.faults import describe
from komeet.store.key_directory import KeyDirectory
from komeet.store.ledger_writer import LedgerWriter
from komeet.store.lock import DirectoryLock
from komeet.store.recovery import recover
from komeet.store.request_log import RequestLog
from komeet.store.schema import LEDGER_LINE, REQUESTS_LINE, bring_to_head, is_older
from komeet.store.sqlite import Durability, open_engine


@final
class DataFiles:
    """The databases of a data directory, for whoever reads usage or changes keys: beside a server, or without one."""

    def __init__(self, data_dir: Path, durability: Durability = "power_loss", *, locked: bool = False) -> None:
        """Open the files, made and brought to the current schema where need be; only their owner may read them.

        Args:
            data_dir: is made if it is not there.
            durability: what a commit to the ledger survives.
            locked: whether this process has the directory's lock; without it, an older schema is brought to the current
                one only while no server is running.

        Raises:
            StoreError: they cannot be used.
        """
        with ExitStack() as undo, _said_plainly(data_dir):
            _make(data_dir)
            self.ledger = open_engine(data_dir / "komeet.db", durability)
            undo.callback(self.ledger.dispose)
            self.requests = open_engine(data_dir / "requests.db", "crash")
            undo.callback(self.requests.dispose)
            lines = ((self.ledger, LEDGER_LINE), (self.requests, REQUESTS_LINE))
            alone = not locked and any(is_older(engine, line) for engine, line in lines)
            with closing(DirectoryLock(data_dir)) if alone else nullcontext():
                for engine, line in lines:
                    bring_to_head(engine, line)
            undo.pop_all()

    def close(self) -> None:
        """Close both files."""
        self.ledger.dispose()
        self.requests.dispose()


@final
class Store:
    """A data directory in the hands of its one server."""

    def __init__(self, data_dir: Path, clock: Clock, durability: Durability) -> None:
        """Do what `open` promises."""
        with ExitStack() as undo, _said_plainly(data_dir):
            _make(data_dir)
            self._lock = DirectoryLock(data_dir)
            undo.callback(self._lock.close)
            self.files = DataFiles(data_dir, durability, locked=True)
            undo.callback(self.files.close)
            self.recovered = recover(self.files.ledger, clock.unix_ms())
            """Attempts that the last run left open, now orphans."""
            self.keys = KeyDirectory(self.files.ledger, clock)
            self.keys.refresh()
            undo.pop_all()
        self.ledger = LedgerWriter(self.files.ledger, clock)
        self.requests = RequestLog(self.files.requests, clock)

    @staticmethod
    def open(data_dir: Path, clock: Clock, *, durability: Durability = "power_loss") -> "Store":
        """Take the data directory for a server: lock it, make orphans of what a crash left open, load the keys.

        Args:
            data_dir: is made if it is not there.
            clock: of the server.
            durability: what a commit to the ledger survives.

        Raises:
            StoreError: another server has it, its schema is newer than this version, or it cannot be read or written.
        """
        return Store(data_dir, clock, durability)

    @staticmethod
    def open_for_cli(data_dir: Path) -> DataFiles:
        """Open the databases for a command, whether or not a server has the directory.

        Raises:
            StoreError: they cannot be used.
        """
        return DataFiles(data_dir)

    def close(self) -> None:
        """Write all that waits, then let the directory go; blocks."""
        self.ledger.close()
        self.requests.close()
        self.files.close()
        self._lock.close()


def _make(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def _said_plainly(data_dir: Path) -> Generator[None]:
    """Turn what the system or the database says into a StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"The data directory {data_dir} cannot be used: {error.strerror or error}.") from error
    except DBAPIError as error:
        raise StoreError(f"The data in {data_dir} cannot be used: {describe(error)}.") from error
