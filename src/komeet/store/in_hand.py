"""What a process of the ledger has in hand: leases, calls that wait for one, records that are not in the database."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from threading import Lock
from types import MappingProxyType
from typing import Final, NamedTuple, final

from komeet.core.clock import Clock
from komeet.core.errors import InternalError, KomeetError, Unavailable
from komeet.ledger.budget import BudgetBook, Window, window_of
from komeet.ledger.denial import explain
from komeet.ledger.journal import Record, write_record
from komeet.ledger.leases import Ask, Denied, Later, Purse, Verdict, rest
from komeet.ledger.port import Hold, Outcome, Share, State, Subject
from komeet.ledger.screen import screen_hold, screen_outcome
from komeet.store.drain import Done, Work
from komeet.store.journal_file import JournalFile, Position
from komeet.store.quiet_log import QuietLog

_LOG = logging.getLogger("komeet.store.ledger")
BATCH: Final = 512
"""Records of one transaction, at most."""
LOOK: Final = 0.25
"""Seconds between two looks at what others changed: budgets, and leases that they ask for."""
AGAIN: Final = 0.05
"""Seconds until a call asks again that waits for leases which others may bring back."""
PATIENCE: Final = 1.0
"""Seconds that it waits in all."""
IDLE: Final = 10.0
"""Seconds after which what nobody uses of a lease goes back."""

CANCELLED = "cancelled"
"""The reason of a hold whose caller left while it waited."""

_NOTHING: Final[Mapping[Window, int]] = MappingProxyType({})


@final
class Waiting:
    """A call that waits for a lease."""

    __slots__ = ("due", "future", "hold", "left", "own", "until")

    def __init__(
        self, hold: Hold, own: Mapping[Window, int], now: float, future: "asyncio.Future[None] | None"
    ) -> None:
        """Know the hold, what the purse gave for it, and who is told."""
        self.hold: Final = hold
        self.own: Final = own
        self.due = now
        self.until: Final = now + PATIENCE
        self.left = False
        """Whether its caller has gone."""
        self.future: Final = future


class Kept(NamedTuple):
    """A record that is not in the database yet."""

    record: Record
    position: Position | None
    """After it in the journal; None: it is not in it."""
    spent: Mapping[Window, int] = _NOTHING
    """Of an outcome: what is no longer leased once it is in the database."""


class Turn(NamedTuple):
    """What goes into one transaction."""

    kept: list[Kept]
    asking: list[Waiting]
    todo: Work
    learning: "list[asyncio.Future[None]]"
    """Those who wait until the budgets are known as they are now."""


Told = tuple[Waiting, KomeetError | None]
"""A call that waits no longer, and why it may not go on."""


@final
class InHand:
    """The state of a process's ledger between its calls and its thread; each method takes the lock."""

    def __init__(
        self, journal: JournalFile, clock: Clock, *, grace: float, most_waiting: int, batch: int = BATCH
    ) -> None:
        """Have nothing; `journal` is written and not closed. One turn has at most `batch` records."""
        self._journal: Final = journal
        self._clock: Final = clock
        self._grace: Final = grace
        self._most_waiting: Final = most_waiting
        self._batch: Final = batch
        self._lock: Final = Lock()
        self._book = BudgetBook(())
        self._epoch = -1
        self._purse: Final = Purse()
        self._queue: Final[deque[Kept]] = deque()
        self._asking: Final[list[Waiting]] = []
        self._abandoned: Final[deque[Waiting]] = deque()
        self._open: Final[dict[str, tuple[Share, ...]]] = {}
        """What attempts without an outcome hold of hard budgets."""
        self._used: Final[dict[Window, int]] = {}
        """What these hold by window, and what those have spent whose outcomes are not in the database yet."""
        self._answered: list[Window] = []
        """Recalls to be answered with what goes back next."""
        self._learning: list[asyncio.Future[None]] = []
        self._alone = 0
        """How many of the next records are to be written one by one, since one of them cannot be written."""
        self._next_look = 0.0
        self._closed = False
        self._stopped = False
        self._failing_since: float | None = None
        self._outages: Final = QuietLog(_LOG, clock)

    # Of calls.

    @property
    def failing(self) -> bool:
        """Whether the last transaction failed."""
        return self._failing_since is not None

    @property
    def waiting(self) -> int:
        """Records that are not in the database yet."""
        return len(self._queue)

    @property
    def book(self) -> BudgetBook:
        """The budgets that there are."""
        return self._book

    def hold(self, hold: Hold, subject: Subject, loop: asyncio.AbstractEventLoop | None = None) -> Waiting | None:
        """Write the hold to the journal and return None; or return what is to be waited for, a lease.

        Args:
            hold: without its shares.
            subject: whose budgets it concerns.
            loop: makes the future of what is to be waited for.

        Raises:
            Unavailable: nothing is held, and nothing can be now.
        """
        if not hold.accounts or hold.amount < 0 or hold.most_charged < 0:
            raise InternalError("Something went wrong in the gateway.", detail="a hold without accounts, or below 0")
        now = self._clock.monotonic()
        hold = screen_hold(hold, self._book.shares(hold, subject))
        hard = _hard(hold.shares)
        with self._lock:
            self._require_open(now)
            if not hard or self._purse.take(hard, now):
                try:
                    self._keep(hold)
                except OSError as error:
                    self._purse.put({window_of(share): share.amount for share in hard}, now)
                    raise self._unwritten(error) from error
                return None
            if self._failing_since is not None:
                raise unavailable()
            waiting = Waiting(hold, self._purse.draw(hard), now, None if loop is None else loop.create_future())
            self._asking.append(waiting)
            return waiting

    def knows(self, books: int) -> bool:
        """Whether the budgets are known as they were after the change of this number."""
        return books <= self._epoch

    def learn(self, future: "asyncio.Future[None]") -> None:
        """Look at the budgets with the next turn, and tell the future.

        Raises:
            Unavailable: the last turn failed, or there will be none any more.
        """
        with self._lock:
            if self._closed or self._failing_since is not None:
                raise unavailable()
            self._learning.append(future)
            self._next_look = 0.0

    def leave(self, waiting: Waiting) -> None:
        """The caller has gone: nothing is held for it, whatever has been done or will be."""
        with self._lock:
            waiting.left = True
            if waiting.hold.attempt_id in self._open:
                hold = waiting.hold
                self._end(
                    Outcome(
                        attempt_id=hold.attempt_id,
                        state=State.VOIDED,
                        reason=CANCELLED,
                        ended_at=self._clock.unix_ms(),
                    )
                )

    def abandon(self, waiting: Waiting) -> None:
        """The same from wherever the interpreter's collector runs, maybe inside the lock: does not take it."""
        waiting.left = True
        self._abandoned.append(waiting)

    def end(self, outcome: Outcome) -> bool:
        """Take an outcome; False where it came too late: nothing is written any more."""
        with self._lock:
            if not self._stopped:
                self._end(outcome)
            return not self._stopped

    def close(self) -> None:
        """Take no more holds."""
        with self._lock:
            self._closed = True

    # Of the thread.

    def stop(self, *, now: bool) -> bool:
        """Take no more outcomes, if it is closed and all is written or it is to be `now`; return whether that is so."""
        with self._lock:
            self._stopped = self._closed and (now or not (self._queue or self._asking or self._learning))
            return self._stopped

    def idle_seconds(self) -> float:
        """Return for how long there is nothing to do."""
        now = self._clock.monotonic()
        with self._lock:
            if self._queue or self._answered or self._abandoned or self._learning:
                return 0.0
            due = min((waiting.due for waiting in self._asking), default=self._next_look)
        return max(0.0, min(due, self._next_look) - now)

    def begin(self) -> Turn | None:
        """Return what the next transaction is to do; None: nothing."""
        now = self._clock.monotonic()
        while self._abandoned:
            self.leave(self._abandoned.popleft())
        with self._lock:
            most = 1 if self._alone else self._batch
            kept = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
            asking = [waiting for waiting in self._asking if waiting.due <= now]
            learning, self._learning = self._learning, []
            looks = bool(learning) or now >= self._next_look or self._failing_since is not None  # is it back?
            surplus, answered = _NOTHING, list[Window]()
            if not self._queue:  # what ended is in the database before what it left over goes back
                surplus = self._purse.surplus(now, IDLE)
                answered, self._answered = self._answered, []
        if not (kept or asking or looks or surplus or answered):
            return None
        todo = Work(
            records=[one.record for one in kept],
            position=next((one.position for one in reversed(kept) if one.position is not None), None),
            surplus=surplus,
            asks=[Ask(_hard(w.hold.shares), w.own, patient=now < w.until) for w in asking],
            looks=looks,
            answered=answered,
            epoch=self._epoch,
        )
        return Turn(kept, asking, todo, learning)

    def finish(self, turn: Turn, done: Done) -> list[Told]:
        """Take in what a transaction did, now that it is committed; return the calls that wait no longer."""
        now = self._clock.monotonic()
        told: list[Told] = []
        with self._lock:
            self._failing_since = None
            self._alone = max(0, self._alone - len(turn.kept))
            for one in turn.kept:
                self._account(one)
            if turn.todo.looks:
                self._next_look = now + LOOK
            self._learn(done)
            if done.grants is not None:
                for window, state in done.states.items():
                    self._purse.tighten(window, tight=done.grants.recalls.get(window, state.recall) > 0)
                self._purse.put(done.grants.spare, now)
                for waiting, verdict in zip(turn.asking, done.grants.verdicts, strict=True):
                    if isinstance(verdict, Later) and not waiting.left:
                        waiting.due = now + AGAIN
                        continue
                    self._asking.remove(waiting)
                    told.append((waiting, self._verdict(waiting, verdict, now)))
            if turn.todo.position is not None:
                self._journal.drained(turn.todo.position)
        return told

    def fail(self, turn: Turn, *, outage: bool) -> tuple[list[Told], Record | None]:
        """Have everything as it was before a transaction that failed, but for what it was to bring back.

        That may have been brought back after all: it is not used until `agree` finds it still leased.

        Returns the calls that wait no longer, and the one record that the database does not take, if it is that.
        """
        now = self._clock.monotonic()
        refused: Record | None = None
        with self._lock:
            self._answered = list({*self._answered, *turn.todo.answered})
            for waiting in turn.asking:
                self._asking.remove(waiting)
                self._put_back(waiting, now, whole=False)
            if outage:
                self._failing_since = now if self._failing_since is None else self._failing_since
            if not outage and len(turn.kept) == 1:
                refused = turn.kept[0].record
                self._account(turn.kept[0])
                self._alone = max(0, self._alone - 1)
            else:
                self._queue.extendleft(reversed(turn.kept))
                if not outage:
                    self._alone = len(turn.kept)
        return [(waiting, unavailable()) for waiting in turn.asking], refused

    def instead(self, outcome: Outcome) -> None:
        """Write another outcome before all others, of an attempt whose own the database did not take."""
        with self._lock:
            self._queue.appendleft(Kept(outcome, None))
            self._alone += 1

    def agree(self, turn: Turn, drained: Position | None, leased: Mapping[Window, int]) -> Turn:
        """Leave out of a turn what the last transaction did after all, of which nobody knew what became of it.

        Args:
            turn: begun.
            drained: how far the journal is in the database.
            leased: what is leased to this process there.
        """
        done = [] if drained is None else [one for one in turn.kept if one.position and one.position <= drained]
        with self._lock:
            for one in done:
                self._account(one)
            drawn = [waiting.own for waiting in self._asking]
            free = {w: n - self._used.get(w, 0) - sum(own.get(w, 0) for own in drawn) for w, n in leased.items()}
            self._purse.empty()
            self._purse.put({window: amount for window, amount in free.items() if amount > 0}, self._clock.monotonic())
            for window in turn.todo.answered:
                self._purse.tighten(window, tight=True)
            self._answered = list({*self._answered, *turn.todo.answered})
        left = [one for one in turn.kept if one not in done]
        todo = Work(
            records=[one.record for one in left],
            position=turn.todo.position if left else None,
            asks=turn.todo.asks,
            looks=turn.todo.looks,
            epoch=turn.todo.epoch,
        )
        return Turn(left, turn.asking, todo, turn.learning)

    def refuse_all(self) -> "tuple[list[Told], list[asyncio.Future[None]]]":
        """Return the calls that wait for leases and those that wait for budgets: they can have nothing any more."""
        with self._lock:
            asking, learning = list(self._asking), self._learning
            self._asking.clear()
            self._learning = []
        return [(waiting, unavailable()) for waiting in asking], learning

    @property
    def free(self) -> Mapping[Window, int]:
        """What is leased and free, by window."""
        return self._purse.free

    # With the lock held.

    def _require_open(self, now: float) -> None:
        if self._closed:
            raise Unavailable("The gateway is shutting down; nothing was sent. Try again.", retry_after=1)
        if self._failing_since is not None and now - self._failing_since >= self._grace:
            raise unavailable()
        if len(self._queue) + len(self._asking) >= self._most_waiting:
            raise Unavailable("The ledger cannot keep up; nothing was sent. Try again.", retry_after=1)

    def _keep(self, record: Record, spent: Mapping[Window, int] = _NOTHING) -> None:
        """Write a record to the journal; raises OSError where it cannot be written."""
        self._queue.append(Kept(record, self._journal.append(write_record(record)), spent))
        if isinstance(record, Hold) and (hard := _hard(record.shares)):
            self._open[record.attempt_id] = hard
            for share in hard:
                window = window_of(share)
                self._used[window] = self._used.get(window, 0) + share.amount

    def _end(self, outcome: Outcome) -> None:
        outcome = screen_outcome(outcome)
        hard = self._open.pop(outcome.attempt_id, ())
        unused = rest(hard, outcome.cost, outcome.charged) if hard and outcome.state is not State.ORPHAN else _NOTHING
        spent = {window_of(s): s.amount - unused.get(window_of(s), 0) for s in hard} if hard else _NOTHING
        try:
            self._keep(outcome, spent)
        except OSError as error:
            self._unwritten(error)
            self._queue.append(Kept(outcome, None, spent))  # a crash before it is in the database makes an orphan
        for window, amount in unused.items():
            self._used[window] -= amount
        if unused:
            self._purse.put(unused, self._clock.monotonic())

    def _account(self, kept: Kept) -> None:
        """Note that a record is in the database."""
        for window, amount in kept.spent.items():
            left = self._used.get(window, 0) - amount
            if left:
                self._used[window] = left
            else:
                self._used.pop(window, None)

    def _learn(self, done: Done) -> None:
        if done.budgets is not None:
            self._book = BudgetBook(done.budgets)
        self._epoch = done.epoch
        for window in done.recalled:
            self._purse.tighten(window, tight=True)
        self._answered = list({*self._answered, *done.recalled})

    def _verdict(self, waiting: Waiting, verdict: Verdict, now: float) -> KomeetError | None:
        """Hold what was leased for a call, or put back what its purse gave."""
        if verdict is None and not waiting.left:
            try:
                self._keep(waiting.hold)
            except OSError as error:
                self._put_back(waiting, now, whole=True)
                return self._unwritten(error)
            return None
        self._put_back(waiting, now, whole=verdict is None)
        return explain(verdict) if isinstance(verdict, Denied) else unavailable()

    def _put_back(self, waiting: Waiting, now: float, *, whole: bool) -> None:
        """Put into the purse what it gave for a call, or the `whole` of what the call would have held."""
        hard = _hard(waiting.hold.shares)
        self._purse.put({window_of(s): s.amount for s in hard} if whole else waiting.own, now)

    def _unwritten(self, error: OSError) -> Unavailable:
        self._outages.write(logging.ERROR, "ledger: the journal cannot be written: %s", error.strerror or error)
        return unavailable()


def unavailable() -> Unavailable:
    """Return what a call is told for which nothing could be held."""
    return Unavailable("The ledger is out of reach; nothing was sent. Try again.", retry_after=1)


def _hard(shares: Sequence[Share]) -> tuple[Share, ...]:
    return tuple(share for share in shares if share.hard) if shares else ()
