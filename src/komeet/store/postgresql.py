"""PostgreSQL as Komeet uses it: libpq reads the address, every wait has an end, and no message repeats a password."""

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from time import monotonic  # noqa: TID251 - the deadline of a socket, beside those of the system
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy import Connection as SqlConnection

from komeet.core.secrets import Secret
from komeet.store.errors import StoreError
from komeet.store.sqlite import Durability

if TYPE_CHECKING:
    from psycopg import Connection

SCHEMES: Final = ("postgresql://", "postgres://")
"""How the address of such a database begins."""
OLDEST: Final = 15
"""The first major version that works."""

_CONNECT_SECONDS = 5
_LOCK_PART = 0.8
"""Of the time of a statement, what it may wait for locks: so that the error says what it waited for."""
_SPARE_SECONDS = 2.0
"""How much longer than the server is allowed to take its answer is waited for."""
_SYNCHRONOUS: Final = {"power_loss": "on", "crash": "off"}
_MISTAKEN = (
    "The address of the database is not one that libpq understands: write postgresql://user@host/database, with "
    "special characters of the password as %XX."
)
_MISSING = "PostgreSQL needs the package psycopg: install `komeet[postgresql]`, or leave `ledger.database` empty."


class Patience(Struct, frozen=True, kw_only=True):
    """How long is waited for the database, in seconds."""

    statement: float = 5.0
    """For a statement's result; then it has failed."""
    pool: float = 2.0
    """For a connection, while all that the pool may have are in use."""
    idle: float = 5.0
    """For the next statement of a transaction: one whose process is halted in the middle ends, and others go on."""


SERVING: Final = Patience()
"""Of a server: whoever waits longer is told that the database is out of reach."""
WORKING: Final = Patience(statement=600.0, idle=30.0)
"""Of a command, which may read ten million rows, and of migrations."""


def open_postgresql(
    address: Secret, durability: Durability = "power_loss", *, patience: Patience = SERVING, connections: int = 8
) -> Engine:
    """Return an engine on a PostgreSQL database; nothing is asked of it yet.

    What the address leaves out libpq finds as always: PGPASSFILE, `~/.pgpass`, PGPASSWORD, PGSSLMODE, services.

    Args:
        address: `postgresql://user@host/database`, with any of libpq's options (`?sslmode=verify-full`).
        durability: what a commit survives: a loss of power, or else a crash of Komeet (not of the database server).
        patience: how long is waited.
        connections: the most at a time.

    Raises:
        StoreError: it is not such an address, or the driver is not installed.
    """
    try:
        from psycopg import conninfo  # noqa: PLC0415 - an extra
        from psycopg.errors import ProgrammingError  # noqa: PLC0415
    except ImportError:
        raise StoreError(_MISSING) from None
    try:
        wanted = conninfo.conninfo_to_dict(address.reveal())
    except ProgrammingError:  # its message would repeat the address
        raise StoreError(_MISTAKEN) from None
    if _has_secret(wanted):
        raise StoreError(_MISTAKEN)
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of what it raises too
    parameters = _parameters(wanted, durability, patience)
    kind = _connection_class(patience.statement + _SPARE_SECONDS)

    def connect() -> "Connection[Any]":
        return kind.connect(**parameters)

    return create_engine(
        _name(wanted),
        creator=connect,
        paramstyle="format",  # rows of a batch are tuples: see `store.bulk`
        pool_size=min(4, connections),
        max_overflow=max(0, connections - 4),
        pool_timeout=patience.pool,
        pool_pre_ping=True,  # after a restart of the server the first who asks is not told that it was away
        pool_use_lifo=True,
        hide_parameters=True,
    )


@contextmanager
def values_in_statements(connection: SqlConnection) -> Generator[None]:
    """For migrations: let the driver write values into statements.

    The server takes no parameters in what changes a schema, and takes two of the same value for two expressions, of
    which it cannot group by the one and select the other.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    from psycopg import ClientCursor  # noqa: PLC0415 - an extra

    driver: Any = connection.connection.driver_connection
    before = driver.cursor_factory
    driver.cursor_factory = ClientCursor
    try:
        yield
    finally:
        driver.cursor_factory = before


def _parameters(wanted: Mapping[str, Any], durability: Durability, patience: Patience) -> dict[str, Any]:
    """What each connection is made with: ours, unless the address says otherwise."""
    settings = {
        "statement_timeout": _ms(patience.statement),
        "lock_timeout": _ms(_LOCK_PART * patience.statement),
        "idle_in_transaction_session_timeout": _ms(patience.idle),
        "synchronous_commit": _SYNCHRONOUS[durability],
        "default_transaction_isolation": "read\\ committed",
        "timezone": "UTC",
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    own = {
        "connect_timeout": _CONNECT_SECONDS,
        "application_name": "komeet",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": _ms(patience.statement + _SPARE_SECONDS),
    }
    return {**own, **wanted, "options": f"{options} {wanted.get('options') or ''}".strip()}


def _has_secret(wanted: Mapping[str, Any]) -> bool:
    """Whether a part that messages name may be part of a password, one with `@` or `/` as they are in it."""
    ports = str(wanted.get("port") or "").replace(",", "")
    return (ports != "" and not ports.isdigit()) or "@" in f"{wanted.get('host')}{wanted.get('dbname')}"


def _name(wanted: Mapping[str, Any]) -> URL:
    """The address for people and logs: where the database is, and nothing that opens it."""
    return URL.create(
        "postgresql+psycopg",
        username=_text(wanted.get("user")),
        host=_text(wanted.get("host")),
        port=None if not str(wanted.get("port") or "").isdigit() else int(wanted["port"]),
        database=_text(wanted.get("dbname")) or _text(wanted.get("service")) or _text(wanted.get("user")),
    )


def _connection_class(seconds: float) -> "type[Connection[Any]]":
    """Return a class of connections that break when an answer does not come.

    The server's own limits end nothing when the server is halted, or the network swallows what it says.
    """
    from psycopg import Connection, OperationalError  # noqa: PLC0415 - an extra

    class Impatient(Connection[Any]):
        def wait(self, gen: Generator[Any, Any, Any], interval: float = 0.1, timeout: float | None = None) -> Any:
            end = monotonic() + seconds
            try:
                return super().wait(gen, interval, seconds if timeout is None else timeout)
            except OperationalError:
                if timeout is None and monotonic() >= end and not self.closed:
                    self.close()  # what it would still say belongs to nobody
                raise

    return Impatient


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _text(value: object) -> str | None:
    return str(value) if value else None
