"""What is done for a process that ended without ending its session: its journal, its attempts, its leases."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError

from komeet.ledger.journal import JournalError, Placed, Record, Torn, read_header, read_records
from komeet.ledger.port import Hold, Outcome, State
from komeet.store.drain import Work, work
from komeet.store.faults import describe, is_outage
from komeet.store.journal_file import DeadJournal, Position, dead_journals, is_alive
from komeet.store.ledger_rows import Memory
from komeet.store.session import drained_until, end_session, unended_sessions
from komeet.store.tables import open_holds, sessions
from komeet.store.transactions import writing

_LOG = logging.getLogger(__name__)
CRASH = "crash"
"""The reason of an attempt that was in flight when its process ended."""
_BATCH = 500


class Recovered(Struct, frozen=True):
    """What was found of processes that have ended."""

    orphans: int = 0
    """Attempts that were in flight, whose cost nobody knows: what they held stays held."""
    records: int = 0
    """Records that were in journals only."""
    uncertain: int = 0
    """Sessions whose journals may lack their end: what they had leased and not spent stays held."""


def recover(
    engine: Engine,
    directory: Path,
    *,
    node: str,
    boot: str,
    now_ms: int,
    session: str | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Recovered:
    """Settle the processes of this node that have ended; a second time there is nothing to settle.

    A journal is taken to the database from where it was left, what is open then becomes an orphan, and what is left of
    the leases is free again. Where the end of a journal may be lost (it was written before the machine's last start, it
    is damaged, or it is gone) that stays held, as uncertain.

    Args:
        engine: of the ledger.
        directory: of the journals.
        node: this machine, among those that share the database.
        boot: this run of it.
        now_ms: Unix milliseconds.
        session: only this one, whose process has ended. None: all; no process of this node has the directory.
        step: is told of each step before it is done; for tests, which crash there.

    Raises:
        OSError: a journal cannot be read.
    """
    total = Recovered()
    if session is not None and is_alive(directory, session):
        return total
    for journal in dead_journals(directory, session):
        try:
            total = _sum(total, _settle(engine, journal, boot=boot, now_ms=now_ms, step=step))
        finally:
            journal.close()
    with engine.connect() as connection, connection.begin():
        left = unended_sessions(connection, node) if session is None else [session]
        left += _unknown_sessions(connection) if session is None else []
    for name in left:
        total = _sum(total, _close(engine, name, lost=True, now_ms=now_ms, step=step))
    return total


def _settle(engine: Engine, journal: DeadJournal, *, boot: str, now_ms: int, step: Callable[[str], None]) -> Recovered:
    with engine.connect() as connection, connection.begin():
        known = drained_until(connection, journal.session)
    if known is None:
        _LOG.error("the journal of %s is of another database; it is left as it is", journal.session or "this process")
        return Recovered()
    position, began = known
    records, damaged = _read(journal, position)
    for start in range(0, len(records), _BATCH):
        part = records[start : start + _BATCH]
        step("replay")
        _replay(engine, journal.session, part)
    lost = damaged or began != boot or not boot
    closed = _close(engine, journal.session, lost=lost, now_ms=now_ms, step=step)
    step("delete")
    journal.delete()
    return Recovered(closed.orphans, len(records), closed.uncertain)


def _replay(engine: Engine, session: str, part: Sequence[tuple[Record, Position]]) -> None:
    """Take records to the database: all at once, or without those that it does not take, each of which is logged."""
    todo = Work(records=[record for record, _ in part], position=part[-1][1], replayed=True)
    try:
        with writing(engine) as connection:
            work(connection, todo, Memory(), session)
    except DBAPIError as error:
        if is_outage(error):
            raise
        if len(part) > 1:
            for one in part:
                _replay(engine, session, [one])
            return
        (record,) = todo.records
        what = "hold" if isinstance(record, Hold) else "outcome"
        _LOG.error("%s of %s is in a journal and cannot be written: %s", what, record.attempt_id, describe(error))


def _read(journal: DeadJournal, position: Position) -> tuple[list[tuple[Record, Position]], bool]:
    """The records after a position, and whether there may have been more."""
    found: list[tuple[Record, Position]] = []
    for data in journal.read():
        try:
            header, start = read_header(data)
        except JournalError as error:
            # A process that is killed while it begins a file leaves less than a header, and nothing was in it.
            if len(data) > _SHORT:
                _LOG.error("a journal of %s cannot be read: %s", journal.session, error)
            return found, len(data) > _SHORT
        if header.segment < position.segment:
            continue
        if header.segment == position.segment:
            start = max(start, position.offset)
        for one in read_records(data, start):
            match one:
                case Placed():
                    found.append((one.record, Position(header.segment, one.end)))
                case Torn():
                    if one.followed:
                        _LOG.error("the journal of %s is damaged at byte %d", journal.session, one.at)
                    return found, one.followed
    return found, False


_SHORT = 256


def _close(engine: Engine, session: str, *, lost: bool, now_ms: int, step: Callable[[str], None]) -> Recovered:
    """Make orphans of what is open, and end the session."""
    orphans = 0
    find = select(open_holds.c.attempt_id).where(open_holds.c.orphan.is_(False), open_holds.c.session == session)
    while True:
        step("orphans")
        with writing(engine) as connection:
            attempts = connection.execute(find.limit(_BATCH)).scalars().all()
            ends = [Outcome(attempt_id=a, state=State.ORPHAN, reason=CRASH, ended_at=now_ms) for a in attempts]
            if ends:
                work(connection, Work(records=ends, replayed=True), Memory(), session)
        orphans += len(attempts)
        if len(attempts) < _BATCH:
            break
    step("leases")
    with writing(engine) as connection:
        before = connection.execute(select(sessions.c.ended_at).where(sessions.c.session == session)).first()
        had = end_session(connection, session, now_ms, keep=lost)
    return Recovered(orphans, 0, int(lost and had and before is not None and before.ended_at is None))


def _unknown_sessions(connection: Connection) -> list[str]:
    """Sessions that have open holds and are not noted: of the version before journals, which had none."""
    noted = select(sessions.c.session)
    chosen = select(open_holds.c.session).where(open_holds.c.orphan.is_(False), open_holds.c.session.not_in(noted))
    return list(connection.execute(chosen.distinct()).scalars())


def _sum(one: Recovered, other: Recovered) -> Recovered:
    return Recovered(one.orphans + other.orphans, one.records + other.records, one.uncertain + other.uncertain)
