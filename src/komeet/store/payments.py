"""Enters payments in the ledger; see `komeet.ledger.payments`."""

import asyncio
from typing import Final, final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from komeet.core.clock import Clock
from komeet.core.errors import Unavailable, WireError
from komeet.ledger.entries import EntryKind
from komeet.ledger.payments import Entered, Payment
from komeet.store.credits import give
from komeet.store.errors import StoreError
from komeet.store.faults import describe

_ACTOR: Final = "payments webhook"


@final
class LedgerPayments:
    """Enters each payment as a credit of its organisation, under its id."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine: Final = engine
        self._clock: Final = clock

    async def enter(self, payment: Payment) -> Entered:
        """Give the organisation credit for a payment, once; see the port."""
        return await asyncio.to_thread(self._enter, payment)

    def _enter(self, payment: Payment) -> Entered:
        try:
            done = give(
                self._engine,
                self._clock,
                payment.organisation,
                payment.amount,
                kind=EntryKind.PAYMENT,
                reference=payment.id,
                reason=f"payment {payment.id}",
                actor=_ACTOR,
            )
        except StoreError as error:
            raise WireError(str(error)) from None
        except SQLAlchemyError as error:
            raise Unavailable(
                "The ledger is out of reach; the payment was not entered. Tell it again.",
                retry_after=1,
                detail=describe(error),
            ) from None
        return Entered(organisation=done.organisation.id, balance=done.balance, new=done.new)
