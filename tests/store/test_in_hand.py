"""What is in hand between calls and the thread, where the histories of `test_histories.py` seldom come."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine
from tests.store.ledgers import BOOT, NODE, subject_of

from komeet.access.keys import Key
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.budget import Window
from komeet.ledger.journal import Header
from komeet.ledger.port import Hold, Outcome, State
from komeet.store.drain import work
from komeet.store.in_hand import InHand, Turn
from komeet.store.journal_file import JournalFile
from komeet.store.keys import create_key
from komeet.store.ledger_rows import Memory
from komeet.store.session import begin_session
from komeet.store.transactions import writer, writing

NewHold = Callable[[Key, int], Hold]


def turn(in_hand: InHand, connection: Connection) -> Turn:
    """One turn of the thread, with a memory of its own."""
    begun = in_hand.begin()
    assert begun is not None
    with connection.begin():
        done = work(connection, begun.todo, Memory(), "wrk_1")
    in_hand.finish(begun, done)
    return begun


def test_what_ended_is_in_the_database_before_what_it_left_over_goes_back(
    engine: Engine, clock: ManualClock, new_hold: NewHold, tmp_path: Path
) -> None:
    """Were the end of the journal lost then, the orphan would hold more than is leased."""
    key = create_key(engine, clock, name="app", budget=Nano(100))[0]
    with writing(engine) as connection:
        begin_session(connection, "wrk_1", NODE, BOOT, 0)
    journal = JournalFile(tmp_path / "journal", Header("wrk_1", NODE, BOOT, 1))
    in_hand = InHand(journal, clock, grace=30.0, most_waiting=100, batch=1)
    with writer(engine) as connection:
        turn(in_hand, connection)
        holds = [new_hold(key, 30) for _ in range(3)]
        for hold in holds:
            assert in_hand.hold(hold, subject_of(key)) is not None
            turn(in_hand, connection)  # leases
            turn(in_hand, connection)  # takes the hold to the database
        for hold in holds:
            in_hand.end(Outcome(attempt_id=hold.attempt_id, state=State.SETTLED, cost=Nano(10), ended_at=1))
        clock.advance(60)  # idle leases go back
        assert [turn(in_hand, connection).todo.surplus for _ in holds] == [{}, {}, {Window(1, 0): 60}]
    journal.close(delete=True)
