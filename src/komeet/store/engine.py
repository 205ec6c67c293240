"""Which database holds what: SQLite files in the data directory, or PostgreSQL."""

from pathlib import Path
from typing import Final

from msgspec import Struct
from sqlalchemy import Engine

from komeet.core.secrets import Secret
from komeet.store.errors import StoreError
from komeet.store.postgresql import SCHEMES, SERVING, Patience, open_postgresql
from komeet.store.sqlite import Durability, open_engine

LOCAL: Final = "local"
"""For the request log: in the data directory, wherever the ledger is."""

LEDGER_FILE: Final = "komeet.db"
REQUESTS_FILE: Final = "requests.db"
CACHE_FILE: Final = "answers.db"


class Databases(Struct, frozen=True, kw_only=True):
    """Where the databases are; None and "" say nothing."""

    ledger: Secret | None = None
    """`postgresql://…`; nothing: `komeet.db` in the data directory."""
    requests: Secret | None = None
    """`postgresql://…`, `local`: `requests.db` in the data directory; nothing: beside the ledger."""

    cache: Secret | None = None
    """Of answers, as the request log's; nothing: beside the request log."""
    caching: bool = False
    """Whether there is a cache of answers at all."""
    key_grace: float = 30.0
    """For how many seconds keys are believed while the ledger is out of reach."""

    @property
    def shared(self) -> bool:
        """Whether other machines may have the same ledger open."""
        return bool(self.ledger)

    @property
    def requests_are_local(self) -> bool:
        """Whether the request log is a file of the data directory."""
        address = self.requests or self.ledger
        return not address or address.reveal() == LOCAL


def open_ledger(
    data_dir: Path, databases: Databases, durability: Durability = "power_loss", patience: Patience = SERVING
) -> Engine:
    """Return an engine on the database of keys and money.

    Raises:
        StoreError: the address is not one of a database.
        OSError: the file cannot be made.
        sqlalchemy.exc.DBAPIError: it is not a database, or out of reach.
    """
    if not databases.ledger:
        return open_engine(data_dir / LEDGER_FILE, durability)
    return open_postgresql(_checked(databases.ledger), durability, patience=patience)


def open_requests(data_dir: Path, databases: Databases, patience: Patience = SERVING) -> Engine:
    """Return an engine on the database of the request log, which may lose its last rows with the power.

    Raises:
        StoreError: the address is not one of a database.
        OSError: the file cannot be made.
        sqlalchemy.exc.DBAPIError: it is not a database, or out of reach.
    """
    address = databases.requests or databases.ledger
    if not address or databases.requests_are_local:
        return open_engine(data_dir / REQUESTS_FILE, "crash")
    return open_postgresql(_checked(address), "crash", patience=patience, connections=3)


def open_cache(data_dir: Path, databases: Databases, patience: Patience = SERVING) -> Engine:
    """Return an engine on the database of answers that may be given once more, which may be lost.

    Raises:
        StoreError: the address is not one of a database.
        OSError: the file cannot be made.
        sqlalchemy.exc.DBAPIError: it is not a database, or out of reach.
    """
    address = databases.cache or databases.requests or databases.ledger
    if not address or address.reveal() == LOCAL:
        return open_engine(data_dir / CACHE_FILE, "crash")
    return open_postgresql(_checked(address), "crash", patience=patience, connections=3)


def is_sqlite(engine: Engine) -> bool:
    """Whether the database is a file of this machine."""
    return engine.dialect.name == "sqlite"


def place(engine: Engine) -> str:
    """Return where the database is, for people; without a password."""
    url = engine.url
    if is_sqlite(engine):
        return str(url.database)
    where = url.host or "the local server"
    return f"database {url.database} of {where}" + (f":{url.port}" if url.port else "")


def _checked(address: Secret) -> Secret:
    if not address.reveal().startswith(SCHEMES):
        raise StoreError("The address of a database begins with postgresql://; write it as postgresql://user@host/db.")
    return address
