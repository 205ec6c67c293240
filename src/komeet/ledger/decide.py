"""The decisions of the ledger: what a batch of commands does to the accounts, as values and nothing else.

Commands are decided in order, each one seeing what those before it did:

- A hold is admitted on all accounts of its chain or on none: on each, posted + held + amount ≤ limit.
- The first outcome of an open hold ends it. SETTLED releases the reservation and posts the cost; VOIDED releases it;
  ORPHAN keeps it. A cost above the reservation is posted in full, since it has been billed, as an overrun; it blocks
  the accounts of the chain that have a limit.
- Any other outcome (a second one, one without a hold, one after a denial) changes nothing.
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from msgspec import Struct, structs

from komeet.core.money import Nano
from komeet.ledger.accounts import MOST, Account, Ended, Kind, Leg, Posting
from komeet.ledger.port import Hold, Outcome, State
from komeet.ledger.screen import screen_hold, screen_outcome

Command: TypeAlias = Hold | Outcome


class Denied(Struct, frozen=True):
    """Why a hold was not admitted: the account of its chain with the least room, as it stood then."""

    account: Account
    amount: Nano
    room: Nano
    """What could have been held; 0 where nothing can."""


class Change(Struct, frozen=True):
    """What is added to an account's balances."""

    posted: Nano
    held: Nano
    blocks: bool


class Overrun(Struct, frozen=True):
    """An alarm: a provider billed above the upper bound that was reserved."""

    attempt_id: str
    key_id: str
    provider: str
    model: str
    reserved: Nano
    cost: Nano
    blocked: tuple[int, ...]
    """The accounts that admit nothing from now on."""


class Decision(Struct, frozen=True):
    """What a batch does, in the order of its commands; nothing has happened yet."""

    denied: dict[int, Denied]
    """By the hold's place among the commands; every other hold of the batch is admitted."""
    holds: list[Hold]
    ended: list[Ended]
    postings: list[Posting]
    changes: dict[int, Change]
    """By account; accounts whose balances stay the same are left out."""
    overruns: list[Overrun]


def decide(
    commands: Iterable[Command],
    accounts: Mapping[int, Account],
    open_holds: Mapping[str, Hold],
    providers: Mapping[str, int],
) -> Decision:
    """Return what `commands` do.

    Args:
        commands: in the order in which they were handed in. Attempt ids of holds are new.
        accounts: by id, those of the holds that the commands name; a hold on an account that is missing is denied.
        open_holds: by attempt, the holds without an outcome that the commands end.
        providers: the provider's account by its name, for each hold that the commands end.
    """
    batch = _Batch(accounts, open_holds, providers)
    for place, command in enumerate(commands):
        if isinstance(command, Hold):
            batch.hold(place, screen_hold(command))
        else:
            batch.end(screen_outcome(command))
    return batch.decision()


def after(accounts: Mapping[int, Account], changes: Mapping[int, Change]) -> dict[int, Account]:
    """Return the accounts, which must have all that change, as they are once the changes are made."""
    result = dict(accounts)
    for account_id, change in changes.items():
        account = accounts[account_id]
        result[account_id] = structs.replace(
            account,
            posted=Nano(account.posted + change.posted),
            held=Nano(account.held + change.held),
            blocked=account.blocked or change.blocks,
        )
    return result


class _Batch:
    """The accounts while a batch is decided."""

    __slots__ = (
        "_accounts",
        "_blocks",
        "_denied",
        "_ended",
        "_held",
        "_holds",
        "_open",
        "_overruns",
        "_posted",
        "_postings",
        "_providers",
    )

    def __init__(
        self, accounts: Mapping[int, Account], open_holds: Mapping[str, Hold], providers: Mapping[str, int]
    ) -> None:
        self._accounts = accounts
        self._providers = providers
        self._open = dict(open_holds)
        self._held: dict[int, int] = {}
        self._posted: dict[int, int] = {}
        self._blocks: set[int] = set()
        self._denied: dict[int, Denied] = {}
        self._holds: list[Hold] = []
        self._ended: list[Ended] = []
        self._postings: list[Posting] = []
        self._overruns: list[Overrun] = []

    def hold(self, place: int, hold: Hold) -> None:
        room, account = min(
            ((_room(account), account) for account in map(self._now, hold.accounts)), key=lambda pair: pair[0]
        )
        if not 0 <= hold.amount <= room:
            self._denied[place] = Denied(account, hold.amount, Nano(max(0, room)))
            return
        for account_id in hold.accounts:
            self._held[account_id] = self._held.get(account_id, 0) + hold.amount
        self._open[hold.attempt_id] = hold
        self._holds.append(hold)

    def end(self, outcome: Outcome) -> None:
        hold = self._open.pop(outcome.attempt_id, None)
        if hold is None:
            return
        overrun = max(0, outcome.cost - hold.amount)
        self._ended.append(Ended(outcome, Nano(overrun)))
        if outcome.state is State.ORPHAN:
            return
        for account_id in hold.accounts:
            self._held[account_id] = self._held.get(account_id, 0) - hold.amount
        if outcome.cost:
            self._post(hold, outcome)
        if overrun:
            self._alarm(hold, outcome.cost)

    def _post(self, hold: Hold, outcome: Outcome) -> None:
        cost, provider = outcome.cost, self._providers[hold.provider]
        legs = [(hold.accounts[0], Leg.CHARGE, cost), (provider, Leg.CONTRA, -cost)]
        for account_id, leg, amount in legs + [(account_id, Leg.ROLLUP, cost) for account_id in hold.accounts[1:]]:
            self._posted[account_id] = self._posted.get(account_id, 0) + amount
            self._postings.append(Posting(outcome.attempt_id, account_id, leg, Nano(amount), outcome.ended_at))

    def _alarm(self, hold: Hold, cost: Nano) -> None:
        blocked = tuple(a for a in hold.accounts if a in self._accounts and self._accounts[a].limit is not None)
        self._blocks.update(blocked)
        overrun = Overrun(hold.attempt_id, hold.key_id, hold.provider, hold.model, hold.amount, cost, blocked)
        self._overruns.append(overrun)

    def _now(self, account_id: int) -> Account:
        account = self._accounts.get(account_id)
        if account is None:
            return Account(id=account_id, kind=Kind.KEY, name=f"account {account_id}, which is gone", blocked=True)
        if account_id not in self._held and account_id not in self._posted:
            return account
        return structs.replace(
            account,
            posted=Nano(account.posted + self._posted.get(account_id, 0)),
            held=Nano(account.held + self._held.get(account_id, 0)),
            blocked=account.blocked or account_id in self._blocks,
        )

    def decision(self) -> Decision:
        changes: dict[int, Change] = {}
        for account_id in sorted({*self._held, *self._posted}):
            posted, held = self._posted.get(account_id, 0), self._held.get(account_id, 0)
            if posted or held:
                changes[account_id] = Change(Nano(posted), Nano(held), account_id in self._blocks)
        return Decision(self._denied, self._holds, self._ended, self._postings, changes, self._overruns)


def _room(account: Account) -> int:
    """How much can be held on the account; below zero where not even a call that costs nothing is admitted."""
    limit = MOST if account.limit is None else min(account.limit, MOST)
    return -1 if account.blocked else limit - account.posted - account.held
