"""The port to payments: what a payment provider tells, and who enters it."""

from typing import Protocol

from msgspec import Struct

from komeet.core.money import Nano


class Payment(Struct, frozen=True, kw_only=True):
    """Money that has been paid in."""

    id: str
    """By which it is entered once, however often it is told."""
    organisation: str
    """An id or a name."""
    amount: Nano


class Entered(Struct, frozen=True, kw_only=True):
    """What became of a payment."""

    organisation: str
    """The id."""
    balance: Nano
    """The sum of the organisation's credits."""
    new: bool
    """False: it had been entered before, and nothing was done."""


class PaymentBook(Protocol):
    """Enters payments."""

    async def enter(self, payment: Payment) -> Entered:
        """Give the organisation credit for a payment, once.

        Raises:
            WireError: there is no such organisation, or its payment cannot be entered; says why.
            Unavailable: the store is out of reach: tell it again.
        """
        ...
