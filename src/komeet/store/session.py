"""The sessions of a ledger: processes that have a journal, from their beginning to their end, however they end."""

from sqlalchemy import Connection, insert, select, update

from komeet.core.money import Nano
from komeet.ledger.budget import Window
from komeet.store.journal_file import Position
from komeet.store.leasing import end_leases, leased_by
from komeet.store.tables import open_holds, sessions, uncertain
from komeet.store.transactions import in_order


def begin_session(connection: Connection, session: str, node: str, boot: str, now_ms: int) -> None:
    """Note a process that is about to keep a journal; in a write transaction."""
    connection.execute(
        insert(sessions).values(
            session=session, node=node, boot=boot, started_at=now_ms, segment=0, position=0, ended_at=None
        )
    )


def end_session(connection: Connection, session: str, now_ms: int, *, keep: bool = False) -> bool:
    """End a session whose records are all in the database, and its leases; False while a hold of it is open.

    Args:
        connection: in a write transaction.
        session: its name.
        now_ms: Unix milliseconds.
        keep: whether what is left of its leases stays held, as uncertain, rather than being free again: the end of its
            journal may have been lost.
    """
    in_order(connection)
    is_open = select(open_holds.c.attempt_id).where(open_holds.c.session == session, open_holds.c.orphan.is_(False))
    if connection.execute(is_open.limit(1)).first() is not None:
        return False
    left = leased_by(connection, session)
    if keep and left:
        connection.execute(insert(uncertain), [_uncertain(session, window, left[window], now_ms) for window in left])
    end_leases(connection, session, left, keep=keep)
    connection.execute(update(sessions).where(sessions.c.session == session).values(ended_at=now_ms))
    return True


def drained_until(connection: Connection, session: str) -> tuple[Position, str] | None:
    """Return how far a session's journal is in the database, and the boot it began in; None: there is no such one."""
    row = connection.execute(select(sessions).where(sessions.c.session == session)).first()
    return None if row is None else (Position(row.segment, row.position), row.boot)


def unended_sessions(connection: Connection, node: str) -> list[str]:
    """Return the sessions of a node that have not ended, oldest first."""
    chosen = select(sessions.c.session).where(sessions.c.node == node, sessions.c.ended_at.is_(None))
    return list(connection.execute(chosen.order_by(sessions.c.started_at)).scalars())


def _uncertain(session: str, window: Window, amount: int, now_ms: int) -> dict[str, object]:
    return {
        "session": session,
        "budget_id": window.budget,
        "starts_at": window.starts_at,
        "amount": Nano(amount),
        "noted_at": now_ms,
    }
