"""The ledger of one process: calls hold from its leases and its journal, and a thread keeps both with the database."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from threading import Event, Thread
from typing import Final, final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from komeet.core.clock import Clock
from komeet.core.errors import KomeetError
from komeet.ledger.decide import Overrun
from komeet.ledger.port import Hold, Outcome, State, Subject
from komeet.ledger.thresholds import Crossing
from komeet.store.drain import Done, Work, work
from komeet.store.faults import describe, is_outage
from komeet.store.in_hand import InHand, Told, Waiting, unavailable
from komeet.store.in_hand import Turn as Portion
from komeet.store.journal_file import JournalFile
from komeet.store.leasing import leased_by
from komeet.store.ledger_rows import Memory, Outdated
from komeet.store.quiet_log import QuietLog
from komeet.store.session import drained_until, end_session
from komeet.store.transactions import writer
from komeet.store.turn import Turn

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_MOST_CROSSINGS: Final = 10_000
"""Crossings that nobody has taken above which the oldest are forgotten."""
GATHER: Final = 0.02
"""Seconds that a record waits for others that go into the database with it."""

UNWRITABLE = "unwritable"
"""The reason of an outcome that the database did not take as it was: its attempt is an orphan."""


@final
class LedgerWriter:
    """Keeps holds and outcomes (see `ledger.port.Ledger`). Other processes may write the same ledger.

    A hold whose budgets the purse can pay is written to the journal, and that is all that its call waits for. Otherwise
    the call waits for one transaction of the thread, which leases what it needs. Outcomes are written to the journal.
    The thread takes the records to the database some milliseconds later. While that is out of reach, calls go on that
    need no lease, for `grace` seconds.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        journal: JournalFile,
        *,
        session: str = "",
        turn: Turn | None = None,
        grace: float = 30.0,
        most_waiting: int = 100_000,
    ) -> None:
        """Start the thread; `close` ends it.

        Args:
            engine: of a database that is at the head of its schema, and knows the session.
            clock: for records, and for what is to be done when.
            journal: of this process; closed with the ledger.
            session: names this process among those that write at the same time.
            turn: taken for each transaction; for processes that write one SQLite file.
            grace: seconds for which holds go on while the database is out of reach.
            most_waiting: records that are not in the database above which holds are refused.
        """
        self._engine: Final = engine
        self._clock: Final = clock
        self._journal: Final = journal
        self._session: Final = session
        self._turn: Final = turn
        self._in_hand: Final = InHand(journal, clock, grace=grace, most_waiting=most_waiting)
        self._memory: Final = Memory()
        self._connection: Connection | None = None
        self._doubtful = False
        """Whether nobody knows what became of the last transaction."""
        self._wake: Final = Event()
        self._urgent: Final = Event()
        """Set where records are not to wait for others."""
        self._given_up: Final = Event()
        self._closing = False
        self._overruns = 0
        self._crossings: Final[deque[Crossing]] = deque(maxlen=_MOST_CROSSINGS)
        self._outages: Final = QuietLog(_LOG, clock)
        self._alarms: Final = QuietLog(_LOG, clock)
        self._know_budgets()
        self._thread: Final = Thread(target=self._run, name="komeet-ledger", daemon=True)
        self._thread.start()

    @property
    def failing(self) -> bool:
        """Whether the last transaction failed."""
        return self._in_hand.failing

    @property
    def waiting(self) -> int:
        """Records that are not in the database yet."""
        return self._in_hand.waiting

    @property
    def overruns(self) -> int:
        """Attempts, since the start, that were billed above their reservation."""
        return self._overruns

    def take_crossings(self) -> list[Crossing]:
        """Return the thresholds of budgets that were crossed since the last time, each once over all processes."""
        taken: list[Crossing] = []
        while self._crossings:
            taken.append(self._crossings.popleft())
        return taken

    def knows(self, books: int) -> bool:
        """Whether the budgets are known as they were after this change; see the port."""
        return self._in_hand.knows(books)

    async def learn(self) -> None:
        """Learn the budgets as they are now; see the port."""
        future = asyncio.get_running_loop().create_future()
        self._in_hand.learn(future)
        self._urgent.set()
        self._wake.set()
        await future

    def is_bounded(self, subject: Subject, provider: str, model: str) -> bool:
        """Whether a hard budget concerns such a call; see the port."""
        return self._in_hand.book.is_bounded(subject, provider, model)

    async def hold(self, hold: Hold, subject: Subject) -> None:
        """Return once the hold is durable on all its accounts and budgets; see the port."""
        waiting = self._in_hand.hold(hold, subject, asyncio.get_running_loop())
        if waiting is None:
            self._call()
            return
        self._urgent.set()
        self._wake.set()
        assert waiting.future is not None
        try:
            await waiting.future
        except asyncio.CancelledError:
            self._in_hand.leave(waiting)
            raise
        except GeneratorExit:  # the collector found the coroutine of a loop that is gone
            self._in_hand.abandon(waiting)
            raise

    def end(self, outcome: Outcome) -> None:
        """Take the attempt's outcome; see the port."""
        if self._in_hand.end(outcome):
            self._call()
        else:
            _LOG.error("ledger: closed before the outcome of %s; it will be an orphan", outcome.attempt_id)

    def close(self, patience: float = 10.0) -> None:
        """Take all records to the database and bring all leases back, and stop; blocks. May be called twice.

        Holds are refused from now on.

        Args:
            patience: seconds after which a database that is out of reach is given up. What is in the journal is taken
                to it at the next start.
        """
        self._in_hand.close()
        self._closing = True
        self._urgent.set()
        self._wake.set()
        self._thread.join(patience)
        self._given_up.set()
        self._thread.join()

    def _call(self) -> None:
        """Have the thread look; it clears the event before it does, so what is set will be seen."""
        if not self._wake.is_set():
            self._wake.set()

    def _know_budgets(self) -> None:
        """Know the budgets before the first call comes."""
        turn = self._in_hand.begin()
        assert turn is not None
        try:
            self._in_hand.finish(turn, self._transact(turn.todo))
        except BaseException:
            self._disconnect()
            raise

    def _run(self) -> None:
        pause = 0.0
        while self._wait(pause):
            pause = 0.0 if self._do() else min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)
        self._finish()
        self._disconnect()

    def _wait(self, pause: float) -> bool:
        """Wait for work; False when there will be none."""
        if pause:
            self._given_up.wait(pause)
        elif not self._closing:
            self._wake.wait(self._in_hand.idle_seconds())
            if self._in_hand.waiting:
                self._urgent.wait(GATHER)  # others may come that go with it
        self._wake.clear()
        if not self._closing:
            self._urgent.clear()
        return not self._in_hand.stop(now=self._given_up.is_set())

    def _do(self) -> bool:
        """Do what is to be done; False when the database is out of reach."""
        turn = self._in_hand.begin()
        if turn is None:
            return True
        try:
            if self._doubtful:
                turn = self._ask_what_became(turn)
            done = self._transact(turn.todo)
        except Exception as error:  # noqa: BLE001 - the thread's supervisor: no error may end it
            return self._recover(turn, error)
        self._answer(self._in_hand.finish(turn, done))
        self._tell(turn.learning, None)
        self._crossings.extend(done.crossings)
        if done.applied is not None:
            self._alarm(done.applied.decision.overruns)
        return True

    def _transact(self, todo: Work) -> Done:
        connection = self._connected()
        try:
            done = self._work(connection, todo)
        except Outdated:
            self._memory.forget()
            done = self._work(connection, todo)
        if done.applied is not None:
            self._memory.learn(done.applied)
        return done

    def _work(self, connection: Connection, todo: Work) -> Done:
        with nullcontext() if self._turn is None else self._turn.taken(), connection.begin():
            return work(connection, todo, self._memory, self._session)

    def _ask_what_became(self, turn: Portion) -> Portion:
        with self._connected().begin():
            drained = drained_until(self._connected(), self._session)
            leased = leased_by(self._connected(), self._session)
        self._doubtful = False
        return self._in_hand.agree(turn, None if drained is None else drained[0], leased)

    def _recover(self, turn: Portion, error: Exception) -> bool:
        """Have everything as it was before a transaction that failed; False when the database is out of reach."""
        self._disconnect()
        outage = is_outage(error)
        self._doubtful = True
        told, refused = self._in_hand.fail(turn, outage=outage)
        self._answer(told)
        self._tell(turn.learning, unavailable())
        if outage:
            self._outages.write(logging.ERROR, "ledger: out of reach: %s", describe(error))
            return False
        if refused is None and not turn.kept:
            _LOG.error("ledger: %s", describe(error), exc_info=error)
            return False
        if refused is not None:
            what = "hold" if isinstance(refused, Hold) else "outcome"
            _LOG.error("ledger: %s of %s not written: %s", what, refused.attempt_id, describe(error), exc_info=error)
        if isinstance(refused, Outcome) and refused.reason != UNWRITABLE:
            self._in_hand.instead(
                Outcome(
                    attempt_id=refused.attempt_id,
                    state=State.ORPHAN,
                    reason=UNWRITABLE,
                    ended_at=self._clock.unix_ms(),
                )
            )
        return True

    def _answer(self, told: Iterable[Told]) -> None:
        """Tell those who wait, with one call for each event loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[Told]] = {}
        for waiting, error in told:
            if waiting.future is not None:
                by_loop.setdefault(waiting.future.get_loop(), []).append((waiting, error))
        for loop, own in by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, own)
            except RuntimeError:  # the loop is closed: nobody is there to send what was held
                for waiting, _ in own:
                    self._in_hand.leave(waiting)

    def _tell(self, learning: "Sequence[asyncio.Future[None]]", error: KomeetError | None) -> None:
        """Tell those who waited for the budgets."""
        for future in learning:
            with suppress(RuntimeError):  # its loop is closed
                future.get_loop().call_soon_threadsafe(_set, future, error)

    def _finish(self) -> None:
        """Bring everything back, where the database is there; or leave it to whoever finds the journal."""
        told, learning = self._in_hand.refuse_all()
        self._answer(told)
        self._tell(learning, unavailable())
        left, ended = self._in_hand.waiting, False
        try:
            ended = not left and self._end_session()
        except DBAPIError as error:
            _LOG.error("ledger: leases were not brought back: %s", describe(error))
        if left:
            _LOG.error("ledger: %d records are not in the database; the next start takes them there", left)
        self._journal.close(delete=ended)

    def _end_session(self) -> bool:
        """Whether nothing of this process is open any more."""
        connection = self._connected()
        with nullcontext() if self._turn is None else self._turn.taken(), connection.begin():
            return end_session(connection, self._session, self._clock.unix_ms())

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = writer(self._engine)
        return self._connection

    def _disconnect(self) -> None:
        self._memory.forget()
        if self._connection is None:
            return
        try:
            self._connection.invalidate()
            self._connection.close()
        except DBAPIError as error:
            _LOG.debug("ledger: while closing a broken connection: %s", describe(error))
        self._connection = None

    def _alarm(self, overruns: Sequence[Overrun]) -> None:
        self._overruns += len(overruns)
        for overrun in overruns:
            self._alarms.write(
                logging.ERROR,
                "ledger: overrun: %s billed %d n$ for %s of %s where %d n$ was reserved; budgets blocked: %s",
                overrun.provider,
                overrun.cost,
                overrun.attempt_id,
                overrun.key_id,
                overrun.reserved,
                list(overrun.blocked),
            )


def _resolve(told: Sequence[tuple[Waiting, KomeetError | None]]) -> None:
    for waiting, error in told:
        if waiting.future is not None:
            _set(waiting.future, error)


def _set(future: "asyncio.Future[None]", error: KomeetError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
