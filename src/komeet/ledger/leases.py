"""Leases: slices of hard budgets that a worker takes from the database and spends in memory.

Of each window the database knows what is posted, what orphans hold, and what is leased to whom; these never come to
more than the limit, and so no number of workers can spend more than it. A worker's lease is what its attempts in flight
hold, and what is free in its purse. Far from the limit a lease is a slice that lasts for many calls. Near it leases are
*tight*: exactly what each call holds, and what a call did not need goes back at once. Between the two lies a recall:
whoever finds no room asks the others to bring back what they do not use, and waits for their answer before it refuses.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias, final

from msgspec import Struct, structs

from komeet.core.money import Nano
from komeet.ledger.budget import Budget, Window, window_of
from komeet.ledger.port import Share

_PART: Final = 8
"""A slice is at most this part of what there is room for, so that the first worker does not take it all."""
_RELAXED: Final = 2
"""Slices are given out again once one would be this many times what the dearest call holds."""


class WindowState(Struct, frozen=True, kw_only=True):
    """A window of a hard budget as the database has it."""

    budget: Budget
    starts_at: int
    posted: Nano = Nano(0)
    held: Nano = Nano(0)
    """By orphans, and what is uncertain."""
    leased: Nano = Nano(0)
    recall: int = 0
    """The number of the last recall; 0: leases are not tight."""
    others: Nano = Nano(0)
    """Part of `leased` that other workers have."""
    waiting: bool = False
    """Whether one of the others has not answered the last recall."""

    @property
    def room(self) -> int:
        """What can be leased still; below zero where not even a call that costs nothing is admitted."""
        return -1 if self.budget.blocked else self.budget.amount - self.posted - self.held - self.leased


class Ask(Struct, frozen=True):
    """What a call would hold of hard budgets, beyond what the worker's purse gave for it."""

    shares: tuple[Share, ...]
    own: Mapping[Window, int]
    """What the purse gave, by window."""
    patient: bool = True
    """Whether the call waits for the answers to a recall; False: it has waited long enough."""


class Denied(Struct, frozen=True):
    """Why a call is not admitted: the window with the least room, as it stands."""

    state: WindowState
    amount: Nano
    """What the call would hold."""
    room: Nano
    """What it could hold; 0 where nothing can."""


class Later(Struct, frozen=True):
    """Others may bring something back: ask again."""


Verdict: TypeAlias = Denied | Later | None
"""None: admitted."""


class Grants(Struct, frozen=True):
    """What a transaction does for the calls that ask; nothing has happened yet."""

    verdicts: Sequence[Verdict]
    """In the order of the asks."""
    leased: Mapping[Window, int]
    """What is added to this worker's leases, by window."""
    spare: Mapping[Window, int]
    """Part of `leased` that no call of these holds: for the purse."""
    recalls: Mapping[Window, int]
    """The new numbers of recalls; 0: leases are no longer tight."""


def grant(asks: Iterable[Ask], states: Mapping[Window, WindowState]) -> Grants:
    """Decide about calls in order, each of which gets all that it asks for or nothing.

    Args:
        asks: of one worker.
        states: by window, for each that is asked for; one that is missing (its budget is gone) has no limit.
    """
    now = dict(states)
    recalls: dict[Window, int] = {}
    leased: dict[Window, int] = {}
    dearest: dict[Window, int] = {}
    verdicts: list[Verdict] = []
    for ask in asks:
        needs = {window_of(share): _need(share, ask) for share in ask.shares if window_of(share) in now}
        least = min(
            ((now[window].room - need, window) for window, need in needs.items()), default=(0, None), key=_margin
        )
        if least[1] is not None and least[0] < 0:
            verdicts.append(_refuse(ask, [w for w, need in needs.items() if need > now[w].room], now, recalls))
            continue  # and nothing is leased for calls like it either
        for share in ask.shares:
            dearest[window_of(share)] = max(dearest.get(window_of(share), 0), share.amount)
        for window, need in needs.items():
            leased[window] = leased.get(window, 0) + need
            now[window] = structs.replace(now[window], leased=Nano(now[window].leased + need))
        verdicts.append(None)
    spare = _slices(now, dearest, recalls)
    for window, amount in spare.items():
        leased[window] = leased.get(window, 0) + amount
    return Grants(verdicts, {w: n for w, n in leased.items() if n}, spare, recalls)


def _margin(pair: tuple[int, Window | None]) -> int:
    return pair[0]


def _need(share: Share, ask: Ask) -> int:
    return max(0, share.amount - ask.own.get(window_of(share), 0))


def _refuse(
    ask: Ask, lacking: Sequence[Window], now: dict[Window, WindowState], recalls: dict[Window, int]
) -> Denied | Later:
    """Refuse the call, or have it wait for what others may bring back."""
    later = False
    for window in lacking:
        state = now[window]
        if state.budget.blocked or not state.others:
            continue
        if state.recall == 0:
            recalls[window] = 1
            now[window] = structs.replace(state, recall=1, waiting=True)
            later = True
        elif state.waiting:
            later = True
    hopeless = any(now[window].budget.blocked or not now[window].others for window in lacking)
    if later and ask.patient and not hopeless:
        return Later()
    denials: list[Denied] = []
    for share in ask.shares:
        window = window_of(share)
        if window in lacking:
            room = max(0, now[window].room) + ask.own.get(window, 0)
            denials.append(Denied(now[window], share.amount, Nano(0 if now[window].budget.blocked else room)))
    return min(denials, key=_room)


def _room(denied: Denied) -> int:
    return denied.room


def _slices(
    now: Mapping[Window, WindowState], dearest: Mapping[Window, int], recalls: dict[Window, int]
) -> dict[Window, int]:
    """Return what is leased beyond need, so that calls to come need no transaction."""
    spare: dict[Window, int] = {}
    for window, state in now.items():
        part = state.room // _PART
        most = dearest.get(window, 0)
        if window in recalls or not most or part < most:
            continue
        if state.recall:
            if part < _RELAXED * most:
                continue
            recalls[window] = 0
        spare[window] = part
    return spare


@final
class Purse:
    """What a worker has leased and no call of its holds, by window. Not for two threads at once."""

    def __init__(self) -> None:
        self._free: Final[dict[Window, int]] = {}
        self._used: Final[dict[Window, float]] = {}
        """When something was last taken."""
        self._tight: Final[set[Window]] = set()

    def take(self, shares: Sequence[Share], now: float) -> bool:
        """Take all shares, or none and return False; `now` is in seconds of a clock that only goes forward."""
        free = self._free
        for share in shares:
            if free.get(window_of(share), -1) < share.amount:
                return False
        for share in shares:
            window = window_of(share)
            free[window] -= share.amount
            self._used[window] = now
        return True

    def draw(self, shares: Iterable[Share]) -> dict[Window, int]:
        """Take as much of each share as there is, and return it."""
        drawn: dict[Window, int] = {}
        for share in shares:
            window = window_of(share)
            there = min(self._free.get(window, 0), share.amount)
            if there > 0:
                self._free[window] -= there
                drawn[window] = there
        return drawn

    def put(self, amounts: Mapping[Window, int], now: float) -> None:
        """Add what is free."""
        for window, amount in amounts.items():
            self._free[window] = self._free.get(window, 0) + amount
            self._used[window] = now

    def tighten(self, window: Window, *, tight: bool) -> None:
        """Note whether what is free in a window is to go back at once."""
        if tight:
            self._tight.add(window)
        else:
            self._tight.discard(window)

    def surplus(self, now: float, idle_seconds: float) -> dict[Window, int]:
        """Take out, and return, what is to go back: of tight windows, and of those that nobody used for so long."""
        going = {
            window: amount
            for window, amount in self._free.items()
            if window in self._tight or now - self._used.get(window, 0.0) >= idle_seconds
        }
        for window in going:
            del self._free[window]
            self._used.pop(window, None)
            self._tight.discard(window)
        return {window: amount for window, amount in going.items() if amount}

    @property
    def free(self) -> Mapping[Window, int]:
        """What is free, by window."""
        return self._free

    def empty(self) -> None:
        """Forget everything: the leases are no longer this worker's."""
        self._free.clear()
        self._used.clear()
        self._tight.clear()


def rest(shares: Iterable[Share], cost: int, charge: int) -> dict[Window, int]:
    """Return what an attempt that ended did not need of its shares, by window."""
    left: dict[Window, int] = {}
    for share in shares:
        unused = share.amount - (charge if share.charged else cost)
        if share.hard and unused > 0:
            left[window_of(share)] = left.get(window_of(share), 0) + unused
    return left
