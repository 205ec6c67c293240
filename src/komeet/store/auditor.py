"""Audits of a ledger of any size: the whole of it at one moment, or all the time in small steps."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final, final

from msgspec import Struct
from sqlalchemy import Connection, Engine, func, select

from komeet.core.clock import Clock
from komeet.ledger.derive import Multiset
from komeet.store.audit_rows import check_attempts
from komeet.store.engine import is_sqlite
from komeet.store.horizon import Horizon
from komeet.store.rederive import Rederivation

_TURN: Final = 0x6B6F6D61
"""The advisory lock of whoever audits."""
_PORTION: Final = 5_000


@contextmanager
def one_moment(engine: Engine) -> Generator[Connection]:
    """A read transaction in which everything is as of one moment, whoever writes meanwhile."""
    with engine.connect() as connection:
        if not is_sqlite(engine):
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


def audit_all(engine: Engine) -> Iterator[str]:
    """Derive every balance again from the rows, and yield what differs, a line each; blocks for as long as it takes.

    Rows are read in portions; no more than balances and sums are in memory.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is out of reach.
    """
    with one_moment(engine) as connection:
        rederivation, posted = Rederivation(connection), Multiset()
        said = 0
        while rederivation.advance(connection, 2**62, _PORTION, posted):
            yield from rederivation.faults[said:]
            said = len(rederivation.faults)
        yield from rederivation.compare(connection)[said:]
        yield from check_attempts(connection, rederivation, posted)


class Finding(Struct, frozen=True):
    """What an audit came to."""

    differences: tuple[str, ...]
    postings: int
    """The last one that it counted."""
    at: int
    """Unix milliseconds."""


@final
class OnlineAuditor:
    """Derives the balances again and again, a portion of postings at a time, and compares when it has them all.

    From then on each step counts what is new and compares again; after `again` seconds it begins anew, so that rows
    that were changed later are found too.
    """

    def __init__(self, engine: Engine, clock: Clock, *, portion: int = 1_000, again: float = 86_400.0) -> None:
        """Count nothing yet: `step` does.

        Args:
            engine: of the ledger.
            clock: says when to begin anew.
            portion: postings of a step.
            again: seconds after which all is derived anew.
        """
        self._engine = engine
        self._clock = clock
        self._portion = portion
        self._again = again
        self._horizon = Horizon()
        self._began = 0.0
        self._work: Rederivation | None = None
        self.found: Finding | None = None
        """What the last comparison came to; None: there was none yet."""

    def step(self) -> bool:
        """Count a portion, or compare; whether there is more to count at once. Blocks.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is out of reach.
        """
        now = self._clock.monotonic()
        with one_moment(self._engine) as connection:
            if not self._is_my_turn(connection):
                self._work = self.found = None
                return False
            if self._work is None or now - self._began >= self._again:
                self._work, self._began = Rederivation(connection), now
            until = self._horizon.look(connection)
            if self._work.advance(connection, until, self._portion):
                return True
            differences = tuple(self._work.compare(connection))
            self.found = Finding(differences, self._work.at, self._clock.unix_ms())
        if differences:
            self._work = None  # somebody may put it right
        return False

    def _is_my_turn(self, connection: Connection) -> bool:
        return is_sqlite(self._engine) or bool(
            connection.execute(select(func.pg_try_advisory_xact_lock(_TURN))).scalar()
        )
