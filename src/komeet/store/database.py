"""A data directory with its databases: keys and money, and the request log; files in it, or on PostgreSQL."""

import logging
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final, Literal, final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from komeet.core.clock import Clock
from komeet.core.ids import new_id
from komeet.ledger.journal import Header
from komeet.store.engine import Databases, is_sqlite, open_cache, open_ledger, open_requests
from komeet.store.errors import StoreError
from komeet.store.faults import describe
from komeet.store.journal_file import JournalFile, boot_id, journals
from komeet.store.key_directory import KeyDirectory
from komeet.store.ledger_writer import LedgerWriter
from komeet.store.limit_table import LimitTable, clear_worker
from komeet.store.limit_table import prepare as prepare_limits
from komeet.store.lock import DirectoryLock, WorkerLock
from komeet.store.nodes import Heartbeat, node_of
from komeet.store.once import OnceStore, release_dead
from komeet.store.postgresql import SERVING, WORKING
from komeet.store.recovery import recover
from komeet.store.request_log import RequestLog
from komeet.store.schema import CACHE_LINE, LEDGER_LINE, REQUESTS_LINE, bring_to_head, is_older, require_head
from komeet.store.session import begin_session
from komeet.store.sqlite import Durability
from komeet.store.swap import finish, unfinished
from komeet.store.transactions import writing
from komeet.store.turn import Turn

_LOG = logging.getLogger(__name__)
_FILES: Final = Databases()

Access = Literal["command", "server", "worker"]
"""Who opens the databases: any process, whether or not a server runs; the server, which has the directory's lock; or a
worker of it, for which everything has been prepared."""


@final
class DataFiles:
    """The databases of a data directory, for whoever reads usage or changes keys: beside a server, or without one."""

    def __init__(
        self,
        data_dir: Path,
        durability: Durability = "power_loss",
        access: Access = "command",
        databases: Databases = _FILES,
    ) -> None:
        """Open the databases; files may be read by their owner only.

        Args:
            data_dir: is made if it is not there.
            durability: what a commit to the ledger survives.
            databases: where they are.
            access: a server's are made and brought to the current schema where need be; a command's too, but an
                older schema only while no server is running; a worker's are taken as they are.

        Raises:
            StoreError: they cannot be used.
        """
        with ExitStack() as undo, _said_plainly(data_dir, databases):
            _make(data_dir)
            if access != "worker" and unfinished(data_dir):
                with nullcontext() if access == "server" else closing(DirectoryLock(data_dir)):
                    finish(data_dir)
            patience = SERVING if access == "worker" else WORKING
            self.ledger = open_ledger(data_dir, databases, durability, patience)
            undo.callback(self.ledger.dispose)
            self.requests = open_requests(data_dir, databases, patience)
            undo.callback(self.requests.dispose)
            self.cache = None
            """Answers that may be given once more; None: there is no cache, or this is a command."""
            if databases.caching and access != "command":
                self.cache = open_cache(data_dir, databases, patience)
                undo.callback(self.cache.dispose)
            self._bring_to_head(data_dir, access)
            undo.pop_all()

    def close(self) -> None:
        """Close the databases."""
        self.ledger.dispose()
        self.requests.dispose()
        if self.cache is not None:
            self.cache.dispose()

    def _bring_to_head(self, data_dir: Path, access: Access) -> None:
        lines = [(self.ledger, LEDGER_LINE), (self.requests, REQUESTS_LINE)]
        if self.cache is not None:
            lines.append((self.cache, CACHE_LINE))
        if access == "worker":
            for engine, line in lines:
                require_head(engine, line)
            return
        alone = access == "command" and any(is_sqlite(engine) and is_older(engine, line) for engine, line in lines)
        with closing(DirectoryLock(data_dir)) if alone else nullcontext():
            for engine, line in lines:
                bring_to_head(engine, line)


@final
class Prepared:
    """A data directory that is ready for a server's workers, in the hands of the process that starts them.

    It holds the lock and nothing else: neither a thread nor an open database, so that this process may fork.
    """

    def __init__(self, data_dir: Path, clock: Clock, durability: Durability, databases: Databases) -> None:
        """Do what `Store.prepare` promises."""
        self._data_dir = data_dir
        self._databases = databases
        self._clock = clock
        self._durability: Durability = durability
        with ExitStack() as undo, _said_plainly(data_dir, databases):
            _make(data_dir)
            self._lock = DirectoryLock(data_dir)
            undo.callback(self._lock.close)
            prepare_limits(data_dir, clock)
            self.recovered = self._recover(None)
            """Attempts that the last run left open, now orphans."""
            self._lock.share()
            undo.pop_all()

    def settle_session(self, session: str) -> int:
        """Make orphans of what a worker left open when it died, and return how many there were; blocks.

        What they may have cost stays held. May be called again: there are none then.

        Args:
            session: of a worker whose process has ended (it was waited for) and that no other worker has.

        Raises:
            StoreError: the database is out of reach, for five seconds at least. What could not be settled is settled
                by another call, or by the next start.
        """
        with _said_plainly(self._data_dir, self._databases):
            try:
                return self._recover(session)
            finally:
                clear_worker(self._data_dir, session)

    def close(self) -> None:
        """Let the directory go; another server can have it once the workers have ended too."""
        if self._databases.shared:
            with suppress(OSError, StoreError, SQLAlchemyError):
                self._leave()
        self._lock.close()

    def _leave(self) -> None:
        """Nodes of a newer version need not wait for this one any more."""
        ledger = open_ledger(self._data_dir, self._databases, self._durability)
        try:
            Heartbeat(ledger, self._clock, node_of(self._data_dir, self._clock)).leave()
        finally:
            ledger.dispose()

    def _recover(self, session: str | None) -> int:
        with closing(DataFiles(self._data_dir, self._durability, "server", self._databases)) as files:
            found = recover(
                files.ledger,
                journals(self._data_dir),
                node=node_of(self._data_dir, self._clock),
                boot=boot_id(),
                now_ms=self._clock.unix_ms(),
                session=session,
            )
            release_dead(files.requests, node=node_of(self._data_dir, self._clock), session=session)
        if found.uncertain:
            _LOG.error(
                "ledger: the end of %d journals may be lost: what they had leased of budgets stays held;"
                " see `komeet ledger uncertain`",
                found.uncertain,
            )
        return found.orphans


@final
class Store:
    """A data directory in the hands of a server's worker."""

    def __init__(
        self, data_dir: Path, clock: Clock, durability: Durability, session: str, databases: Databases
    ) -> None:
        """Do what `join` promises."""
        self._prepared: Prepared | None = None
        with ExitStack() as undo, _said_plainly(data_dir, databases):
            self._lock = WorkerLock(data_dir)
            undo.callback(self._lock.close)
            self.files = DataFiles(data_dir, durability, "worker", databases)
            undo.callback(self.files.close)
            # A file of this machine is late only where the machine has too much to do, and is never out of reach.
            patience = 2.0 if is_sqlite(self.files.ledger) else 0.25
            self.keys = KeyDirectory(self.files.ledger, clock, grace=databases.key_grace, patience=patience)
            undo.callback(self.keys.close)
            self.keys.refresh()
            self.nodes = Heartbeat(self.files.ledger, clock, node_of(data_dir, clock))
            self.nodes.beat()
            self.limits = LimitTable(data_dir, clock, session)
            undo.callback(self.limits.close)
            self._turn = Turn(data_dir / "komeet.turn")
            undo.callback(self._turn.close)
            header = Header(session or new_id("wrk_", clock), node_of(data_dir, clock), boot_id(), 1)
            with writing(self.files.ledger) as connection:
                begin_session(connection, header.session, header.node, header.boot, clock.unix_ms())
            journal = JournalFile(journals(data_dir), header)
            self.ledger = LedgerWriter(
                self.files.ledger,
                clock,
                journal,
                session=header.session,
                turn=self._turn if is_sqlite(self.files.ledger) else None,  # PostgreSQL sees to it by itself
                grace=databases.key_grace,
            )
            undo.pop_all()
        self.requests = RequestLog(self.files.requests, clock)
        self.once = OnceStore(self.files.requests, clock, node=node_of(data_dir, clock), session=session)

    @property
    def recovered(self) -> int:
        """Attempts that the last run left open, now orphans; known to the process that prepared the directory."""
        return 0 if self._prepared is None else self._prepared.recovered

    @staticmethod
    def prepare(
        data_dir: Path, clock: Clock, *, durability: Durability = "power_loss", databases: Databases = _FILES
    ) -> Prepared:
        """Take the data directory for a server's workers: lock it, migrate it, make orphans of what a crash left open.

        Args:
            data_dir: is made if it is not there.
            clock: of the server.
            durability: what a commit to the ledger survives.
            databases: where they are.

        Raises:
            StoreError: another server has it, its schema is newer than this version, or it cannot be read or written.
        """
        return Prepared(data_dir, clock, durability, databases)

    @staticmethod
    def join(
        data_dir: Path,
        clock: Clock,
        *,
        durability: Durability = "power_loss",
        session: str,
        databases: Databases = _FILES,
    ) -> "Store":
        """Open a data directory that has been prepared, beside the server's other workers; load the keys.

        Budgets hold exactly over all of them, since each transaction of the ledger sees what the others committed.

        Args:
            data_dir: prepared by a server that runs.
            clock: of this worker.
            durability: what a commit to the ledger survives.
            session: names this worker; never used before in the run of this server. Should its process die, that is
                how what it left open is found.
            databases: where they are.

        Raises:
            StoreError: it was prepared by another version, is being taken over by another server, or is out of reach.
        """
        return Store(data_dir, clock, durability, session, databases)

    @staticmethod
    def open(
        data_dir: Path, clock: Clock, *, durability: Durability = "power_loss", databases: Databases = _FILES
    ) -> "Store":
        """Prepare the data directory and join it, in one process: a server without workers.

        Raises:
            StoreError: as `prepare`.
        """
        prepared = Prepared(data_dir, clock, durability, databases)
        try:
            store = Store(data_dir, clock, durability, "", databases)
        except BaseException:
            prepared.close()
            raise
        store._prepared = prepared
        return store

    @staticmethod
    def open_for_cli(data_dir: Path, databases: Databases = _FILES) -> DataFiles:
        """Open the databases for a command, whether or not a server has the directory.

        Raises:
            StoreError: they cannot be used.
        """
        return DataFiles(data_dir, databases=databases)

    def close(self) -> None:
        """Write all that waits, then let the directory go; blocks."""
        self.ledger.close()
        self.limits.close()
        self._turn.close()
        self.requests.close()
        self.keys.close()
        self.files.close()
        self._lock.close()
        if self._prepared is not None:
            self._prepared.close()


def _make(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def _said_plainly(data_dir: Path, databases: Databases) -> Generator[None]:
    """Turn what the system or the database says into a StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"The data directory {data_dir} cannot be used: {error.strerror or error}.") from error
    except (DBAPIError, PoolTimeout) as error:
        what = "The database of `ledger.database`" if databases.shared else f"The data in {data_dir}"
        raise StoreError(f"{what} cannot be used: {describe(error)}.") from error
