"""Free allowances: of what customers are charged, so much is free in each window of time, or so many tokens.

How much of an allowance is used is a number in the database, read and raised in the transaction that takes a call's
outcome there: so the first to end is free, and no number of workers frees more than the limit. What is reserved is the
whole charge, since nobody knows before what will be left of the allowance. Which allowance a call has, and its limit,
stands in the hold: whatever becomes of the configuration, and however often a journal is read, it comes to the same.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, final

from msgspec import Struct


class FreeWindow(NamedTuple):
    """One window of one allowance: what is counted together."""

    allowance: str
    """Its name: whose it is, what it counts, and for how long."""
    starts_at: int
    """Unix milliseconds; 0 where there is but one."""


class Free(Struct, frozen=True, array_like=True):
    """What a call may have of an allowance."""

    allowance: str
    starts_at: int
    """Of the window, in Unix milliseconds."""
    limit: int
    """What is free in the window: nano-dollars, or tokens."""
    tokens: bool
    """Whether it counts tokens, or else nano-dollars of charges."""

    @property
    def window(self) -> FreeWindow:
        """The window that it is taken of."""
        return FreeWindow(self.allowance, self.starts_at)


class Taken(NamedTuple):
    """What a call had of an allowance."""

    amount: int
    """Nano-dollars that it is not charged."""
    tokens: int
    """Tokens that it used of an allowance of tokens."""

    @property
    def used(self) -> int:
        """What is no longer free in the window, in the allowance's own unit."""
        return self.tokens or self.amount


def take(free: Free, charge: int, tokens: int, used: int) -> Taken:
    """Return what a call has of an allowance.

    Of a call that goes beyond an allowance of tokens, all tokens count alike: their part of the charge is free, rounded
    down to a nano-dollar. What is charged without tokens (a fee for each request alone) is not free by such a one.

    Args:
        free: what it may have.
        charge: nano-dollars that it would be charged.
        tokens: input and output together.
        used: what was used in the window before, in the allowance's own unit.
    """
    left = max(free.limit - used, 0)
    if not free.tokens:
        return Taken(min(charge, left), 0)
    covered = min(tokens, left)
    return Taken(charge * covered // tokens if covered else 0, covered)


@final
class FreeBook:
    """What is used of allowances, added up from the attempts that had something of them."""

    __slots__ = ("_limits", "used")

    def __init__(self) -> None:
        self.used: Final[dict[FreeWindow, int]] = {}
        """By window, in each one's own unit."""
        self._limits: Final[dict[FreeWindow, int]] = {}

    def add(self, free: Free | None, charge: int, taken: Taken, tokens: int) -> str | None:
        """Count an attempt, and return what is wrong with it; None: nothing.

        Args:
            free: what it could have.
            charge: nano-dollars that it is charged, without what is free.
            taken: what it had.
            tokens: input and output together.
        """
        if free is None:
            return "a part of it is free, by no allowance" if taken.used else None
        window = free.window
        self.used[window] = self.used.get(window, 0) + taken.used
        self._limits[window] = max(free.limit, self._limits.get(window, 0))
        if free.tokens:
            left, right = min(taken.tokens, tokens), 0
            if left == taken.tokens and left:
                right = (charge + taken.amount) * left // tokens
            return (
                None if (left, right) == (taken.tokens, taken.amount) else "another part of it is free than its tokens"
            )
        return "it is charged less than nothing" if taken.tokens or min(charge, taken.amount) < 0 else None

    def compare(self, kept: Mapping[FreeWindow, int]) -> list[str]:
        """Return how the numbers that are kept differ, a line each, and which allowances gave more than they have."""
        wrong: list[str] = []
        for window in sorted({*kept, *self.used}):
            name = f"allowance {window.allowance} from {window.starts_at}"
            used, noted = self.used.get(window, 0), kept.get(window, 0)
            if used != noted:
                wrong.append(f"{name}: {noted} is used, but its rows say {used}")
            if used > self._limits.get(window, 0):
                wrong.append(f"{name}: {used} is used of {self._limits.get(window, 0)}")
        return wrong
