"""The decisions of the ledger: what a batch of records does to accounts and budgets, as values and nothing else.

Records are taken in order. Whether a call is admitted was decided when it leased what it holds (`ledger.leases`): here
a hold is written as it is, once.

- The first outcome of an open hold ends it. SETTLED releases the reservation and posts cost and charge; VOIDED releases
  it; ORPHAN keeps it. A cost above what was reserved of hard budgets is posted in full, since it has been billed, as an
  overrun; it blocks them. Without a hard budget the reservation is an estimate, and nothing is above it.
- Any other outcome (a second one, one without a hold) and a second hold of an attempt change nothing.

Of a hard budget's window, a settled attempt turns what it cost from leased to posted: what it did not need stays in the
lease of the process that held it. An orphan turns its whole share from leased to held.

Where a part of a charge is free (`ledger.free`), the rest is what is posted; but the lease is reduced by all of it, as
the process that held it has it: what was free is room again for everybody.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from msgspec import Struct, structs

from komeet.core.money import Nano
from komeet.ledger.accounts import Ended, Posting, legs
from komeet.ledger.budget import Window, window_of
from komeet.ledger.free import Free, FreeWindow, take
from komeet.ledger.port import Hold, Outcome, State

Command: TypeAlias = Hold | Outcome


class Change(Struct, frozen=True):
    """What is added to an account's balances."""

    posted: Nano
    held: Nano


class WindowChange(Struct, frozen=True):
    """What is added to the numbers of a budget's window."""

    posted: Nano = Nano(0)
    held: Nano = Nano(0)
    leased: Nano = Nano(0)
    """Also to the lease of the process whose records these are."""


class Overrun(Struct, frozen=True):
    """An alarm: a provider billed above the upper bound that was reserved."""

    attempt_id: str
    key_id: str
    provider: str
    model: str
    reserved: Nano
    cost: Nano
    blocked: tuple[int, ...]
    """The budgets that admit nothing from now on."""


class Decision(Struct, frozen=True):
    """What a batch does, in the order of its records; nothing has happened yet."""

    holds: list[Hold]
    ended: list[Ended]
    ended_holds: list[Hold]
    """Of each of `ended`, in the same order."""
    postings: list[Posting]
    changes: dict[int, Change]
    """By account; accounts whose balances stay the same are left out."""
    windows: dict[Window, WindowChange]
    """By window; those whose numbers stay the same are left out."""
    overruns: list[Overrun]
    free: dict[FreeWindow, int]
    """What is used of free allowances, by window, in each one's own unit."""


def decide(
    commands: Iterable[Command],
    open_holds: Mapping[str, Hold],
    providers: Mapping[str, int],
    margin: int,
    used: Mapping[FreeWindow, int] = MappingProxyType({}),
) -> Decision:
    """Return what `commands` do.

    Args:
        commands: holds and outcomes, screened (`ledger.screen`), in the order in which they happened.
        open_holds: by attempt, the holds without an outcome that the commands end.
        providers: the provider's account by its name, for each hold that the commands end.
        margin: the account of margins.
        used: of free allowances before these commands, by window; one that is missing has not been used.
    """
    batch = _Batch(open_holds, providers, margin, used)
    for command in commands:
        if isinstance(command, Hold):
            batch.hold(command)
        else:
            batch.end(command)
    return batch.decision()


class _Batch:
    """What the records of a batch come to, so far."""

    __slots__ = (
        "_ended",
        "_ended_holds",
        "_free",
        "_held",
        "_holds",
        "_margin",
        "_open",
        "_overruns",
        "_posted",
        "_postings",
        "_providers",
        "_used",
        "_windows",
    )

    def __init__(
        self,
        open_holds: Mapping[str, Hold],
        providers: Mapping[str, int],
        margin: int,
        used: Mapping[FreeWindow, int],
    ) -> None:
        self._providers = providers
        self._margin = margin
        self._used = used
        self._free: dict[FreeWindow, int] = {}
        self._open = dict(open_holds)
        self._held: dict[int, int] = {}
        self._posted: dict[int, int] = {}
        self._windows: dict[Window, list[int]] = {}
        self._holds: list[Hold] = []
        self._ended: list[Ended] = []
        self._ended_holds: list[Hold] = []
        self._postings: list[Posting] = []
        self._overruns: list[Overrun] = []

    def hold(self, hold: Hold) -> None:
        for account_id in hold.accounts:
            self._held[account_id] = self._held.get(account_id, 0) + hold.most_charged
        self._open[hold.attempt_id] = hold
        self._holds.append(hold)

    def end(self, outcome: Outcome) -> None:
        hold = self._open.pop(outcome.attempt_id, None)
        if hold is None:
            return
        bounded = any(share.hard for share in hold.shares)
        overrun = max(0, outcome.cost - hold.amount) if bounded else 0
        whole = outcome.charged
        if hold.free is not None and outcome.state is State.SETTLED:
            outcome = self._take_free(hold.free, outcome)
        self._ended.append(Ended(outcome, Nano(overrun)))
        self._ended_holds.append(hold)
        if outcome.state is State.ORPHAN:
            for share in hold.shares:
                if share.hard:
                    self._move(window_of(share), held=share.amount, leased=-share.amount)
            return
        for account_id in hold.accounts:
            self._held[account_id] = self._held.get(account_id, 0) - hold.most_charged
        if outcome.state is State.SETTLED:
            self._settle(hold, outcome, whole)

    def _take_free(self, free: Free, outcome: Outcome) -> Outcome:
        """Take off the charge what is free."""
        window = free.window
        before = self._free.get(window, 0)
        tokens = outcome.usage.input + outcome.usage.output
        taken = take(free, outcome.charged, tokens, self._used.get(window, 0) + before)
        if not taken.used:
            return outcome
        self._free[window] = before + taken.used
        charge = Nano(outcome.charged - taken.amount)
        return structs.replace(outcome, charge=charge, free=Nano(taken.amount), free_tokens=taken.tokens)

    def _settle(self, hold: Hold, outcome: Outcome, whole: int) -> None:
        """Post it; `whole` is the charge with what is free."""
        cost, charge = outcome.cost, outcome.charged
        for account_id, leg, amount in legs(hold.accounts, self._providers[hold.provider], self._margin, cost, charge):
            self._posted[account_id] = self._posted.get(account_id, 0) + amount
            self._postings.append(Posting(outcome.attempt_id, account_id, leg, Nano(amount), outcome.ended_at))
        beyond: list[int] = []
        for share in hold.shares:
            spent = charge if share.charged else cost
            used = whole if share.charged else cost
            self._move(window_of(share), posted=spent, leased=-min(used, share.amount) if share.hard else 0)
            if share.hard and spent > share.amount:
                beyond.append(share.budget)
        if beyond:
            self._overruns.append(
                Overrun(
                    hold.attempt_id, hold.key_id, hold.provider, hold.model, hold.amount, cost, blocked=tuple(beyond)
                )
            )

    def _move(self, window: Window, *, posted: int = 0, held: int = 0, leased: int = 0) -> None:
        numbers = self._windows.setdefault(window, [0, 0, 0])
        numbers[0] += posted
        numbers[1] += held
        numbers[2] += leased

    def decision(self) -> Decision:
        changes: dict[int, Change] = {}
        for account_id in sorted({*self._held, *self._posted}):
            posted, held = self._posted.get(account_id, 0), self._held.get(account_id, 0)
            if posted or held:
                changes[account_id] = Change(Nano(posted), Nano(held))
        windows = {
            window: WindowChange(Nano(posted), Nano(held), Nano(leased))
            for window, (posted, held, leased) in sorted(self._windows.items())
            if posted or held or leased
        }
        return Decision(
            self._holds,
            self._ended,
            self._ended_holds,
            self._postings,
            changes,
            windows,
            self._overruns,
            {window: used for window, used in sorted(self._free.items()) if used},
        )
