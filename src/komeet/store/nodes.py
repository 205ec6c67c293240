"""The machines that serve from one database: each says every second that it is there, and counts those that do."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

from sqlalchemy import Connection, Engine, func, inspect, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from komeet.core.clock import Clock
from komeet.core.ids import new_id
from komeet.store.engine import is_sqlite
from komeet.store.errors import StoreError
from komeet.store.faults import describe
from komeet.store.quiet_log import QuietLog
from komeet.store.tables import nodes
from komeet.store.transactions import writing

_LOG = logging.getLogger(__name__)
_FILE: Final = "node"
_SILENT_MS: Final = 5_000
"""After how many milliseconds without a word a node does not count any more."""
_LOOK_MS: Final = 500

Spawn = Callable[[str, Coroutine[Any, Any, None]], object]
"""Starts supervised work: a name for it, and the work."""


def node_of(data_dir: Path, clock: Clock) -> str:
    """Return the name of the node whose data directory this is: made once, and kept there.

    Raises:
        OSError: it cannot be kept.
    """
    path = data_dir / _FILE
    with suppress(FileNotFoundError):
        kept = path.read_text("ascii", "replace").strip()
        if kept:
            return kept
    name = new_id("node_", clock)
    part = path.with_name(f"{_FILE}.{name}")
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(file, "w", encoding="ascii") as out:  # noqa: PTH123 - of a descriptor
        out.write(name + "\n")
    with suppress(FileExistsError):
        os.link(part, path)  # of two that begin at once, one names the node
    part.unlink()
    return path.read_text("ascii").strip()


def living(connection: Connection) -> list[str]:
    """Return the hosts of the nodes that serve from this database, as far as the database's own clock can tell."""
    heard_of = nodes.c.seen_at > _now() - _SILENT_MS
    return list(connection.execute(select(nodes.c.host).where(heard_of).order_by(nodes.c.host)).scalars())


def require_none_serving(connection: Connection) -> None:
    """Refuse to change a schema with which other nodes serve; for SQLite the directory's lock has seen to that.

    Raises:
        StoreError: there are such nodes; names their hosts.
    """
    if is_sqlite(connection.engine) or not inspect(connection).has_table(nodes.name):
        return
    hosts = living(connection)
    for _ in range(_SILENT_MS // _LOOK_MS + 1):  # one that has just been stopped is still believed to be there
        if not hosts:
            return
        time.sleep(_LOOK_MS / 1000)
        hosts = living(connection)
    raise StoreError(
        f"Nodes of an older version of Komeet serve from this database: {', '.join(hosts)}. Stop them all; start "
        "one with the new version, which brings the database to its schema, and then the others."
    )


@final
class Heartbeat:
    """Says that this node is there, and knows how many are.

    On SQLite there is one, by the lock of its data directory: nothing is written.
    """

    def __init__(self, engine: Engine, clock: Clock, node: str, *, every: float = 1.0) -> None:
        """Say nothing yet: `beat` or `start` does.

        Args:
            engine: of the ledger.
            clock: of this process; says how often to log.
            node: of `node_of`. Its workers each have one of these, and say the same.
            every: seconds between two words.
        """
        self._engine = engine
        self._node = node
        self._host = socket.gethostname()
        self._every = every
        self._count = 1
        self._stopping = asyncio.Event()
        self._log = QuietLog(_LOG, clock)

    @property
    def count(self) -> int:
        """How many nodes serve, this one included; the last known number while the database is out of reach."""
        return self._count

    def beat(self) -> bool:
        """Say that this node is there, and count; False when the database is out of reach. Blocks."""
        if is_sqlite(self._engine):
            return True
        try:
            with writing(self._engine) as connection:
                said = insert(nodes).values(node=self._node, host=self._host, started_at=_now(), seen_at=_now())
                connection.execute(
                    said.on_conflict_do_update(
                        index_elements=[nodes.c.node], set_={"host": said.excluded.host, "seen_at": _now()}
                    )
                )
                self._count = max(1, len(living(connection)))
        except SQLAlchemyError as error:
            self._log.write(logging.ERROR, "nodes: the database is out of reach: %s", describe(error))
            return False
        return True

    def leave(self) -> None:
        """Say that this node has ended, for those who wait for that; blocks, and fails in silence."""
        if is_sqlite(self._engine):
            return
        with suppress(SQLAlchemyError), writing(self._engine) as connection:
            connection.execute(update(nodes).where(nodes.c.node == self._node).values(seen_at=0))

    async def start(self, spawn: Spawn) -> None:
        """Say it from now on, in a task that `spawn` starts."""
        if not is_sqlite(self._engine):
            spawn("nodes", self._watch())

    async def stop(self) -> None:
        """End the task that `start` spawned."""
        self._stopping.set()

    async def _watch(self) -> None:
        while not self._stopping.is_set():
            await asyncio.to_thread(self.beat)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._stopping.wait()


def _now() -> Any:
    """Unix milliseconds by the clock of the database: that of one machine, whoever asks."""
    return func.floor(func.extract("epoch", func.clock_timestamp()) * 1000)
