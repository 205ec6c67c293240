"""Up to which posting nothing can appear any more."""

from typing import Any, Final, final

from sqlalchemy import BigInteger, Connection, Text, cast, func, select

from komeet.store.tables import postings


@final
class Horizon:
    """Postings up to this id are all there are: no transaction that is under way can add one below it.

    On SQLite transactions follow each other, and so do ids. On PostgreSQL an id is drawn before its transaction is
    committed: the highest id that is visible is believed once every transaction has ended that ran when it was seen.
    """

    def __init__(self) -> None:
        self._safe: int = 0
        self._next: tuple[int, int] | None = None
        """An id, and the first transaction that began after it was seen."""

    def look(self, connection: Connection) -> int:
        """Return the id; 0: there are none yet. On PostgreSQL it is behind by one look at least.

        Args:
            connection: in a transaction that has written nothing.
        """
        highest: Any = func.coalesce(func.max(postings.c.id), 0)
        if connection.dialect.name == "sqlite":
            return int(connection.execute(select(highest)).scalar_one())
        now: Final[Any] = func.pg_current_snapshot()
        oldest_of, following_of = (
            cast(cast(bound, Text), BigInteger) for bound in (func.pg_snapshot_xmin(now), func.pg_snapshot_xmax(now))
        )
        seen, oldest, following = connection.execute(select(highest, oldest_of, following_of)).one()
        if self._next is not None and oldest >= self._next[1]:
            self._safe, self._next = self._next[0], None
        if self._next is None and seen > self._safe:
            self._next = (seen, following)
        return self._safe
