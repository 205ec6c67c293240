"""`POST /webhooks/payments`: a payment provider, or what stands before one, tells of money that has been paid in."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from komeet.access.rules import Access
from komeet.access.signature import HEADER, verify
from komeet.api.routes import Route
from komeet.core.clock import Clock
from komeet.core.errors import WireError
from komeet.core.http import HttpRequest, Reply
from komeet.core.money import MOST_DOLLARS, NANO_PER_DOLLAR, Nano, dollars
from komeet.core.secrets import Secret
from komeet.ledger.payments import Payment, PaymentBook

PATH: Final = "/webhooks/payments"
_MOST_BYTES: Final = 65_536
_CENTS: Final = 100
_HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))

_Id = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+\Z")]
_Cents = Annotated[int, Meta(ge=1, le=MOST_DOLLARS * _CENTS)]


class _Event(Struct, frozen=True, kw_only=True):
    """What is read of an event; what else it holds is ignored."""

    id: _Id
    organisation: Annotated[str, Meta(min_length=1, max_length=200)]
    amount: _Cents
    currency: Literal["usd"]


class Payments:
    """Takes payments that are signed with the configured secret, and nothing else."""

    def __init__(self, book: PaymentBook, secret: Secret, clock: Clock) -> None:
        self._book: Final = book
        self._secret: Final = secret
        self._clock: Final = clock
        self._decoder: Final = msgspec.json.Decoder(_Event)

    @property
    def route(self) -> Route:
        """The route, which is there only where a secret is."""
        return Route(method="POST", path=PATH, access=Access.SIGNED, handler=self.handle, most_bytes=_MOST_BYTES)

    async def handle(self, request: HttpRequest, reply: Reply) -> None:
        """Enter one payment; nothing of the body is read before its signature is found right."""
        verify(self._secret, request.headers.get(HEADER), request.body, self._clock.unix_ms() // 1000)
        try:
            event = self._decoder.decode(request.body)
        except msgspec.DecodeError as error:
            raise WireError(f"Not an event of a payment: {error}.") from None
        amount = Nano(event.amount * (NANO_PER_DOLLAR // _CENTS))
        entered = await self._book.enter(Payment(id=event.id, organisation=event.organisation, amount=amount))
        said = {
            "id": event.id,
            "organisation": entered.organisation,
            "status": "credited" if entered.new else "already_credited",
            "balance": dollars(entered.balance),
        }
        reply.whole(200, _HEADERS, msgspec.json.encode(said))
