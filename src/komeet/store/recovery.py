"""What is done for the attempts that were in flight when a process ended: at the next start, or by its supervisor."""

from sqlalchemy import Engine, select

from komeet.ledger.port import Outcome, State
from komeet.store.ledger_rows import Memory, apply
from komeet.store.sqlite import writing
from komeet.store.tables import open_holds

CRASH = "crash"
"""The reason of an attempt that was in flight when the process ended."""
_BATCH = 500


def recover(engine: Engine, now_ms: int, session: str | None = None) -> int:
    """Make an orphan of every hold without an outcome, and return how many there were; a second time there are none.

    The provider may have been asked or not, and nobody is left who knows: the reservation stays held.

    Args:
        engine: of the ledger.
        now_ms: Unix milliseconds.
        session: whose holds; its process has ended. None: everybody's, and all have ended.
    """
    find = select(open_holds.c.attempt_id).where(open_holds.c.orphan.is_(False))
    if session is not None:
        find = find.where(open_holds.c.session == session)
    recovered = 0
    while True:
        with writing(engine) as connection:
            attempts = connection.execute(find.limit(_BATCH)).scalars().all()
            if not attempts:
                return recovered
            outcomes = [
                Outcome(attempt_id=attempt, state=State.ORPHAN, reason=CRASH, ended_at=now_ms) for attempt in attempts
            ]
            apply(connection, outcomes, Memory())
        recovered += len(attempts)
