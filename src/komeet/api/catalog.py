"""`GET /api/models`: the models, what they can do and what they cost, for everybody; only where that is configured."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from komeet.access.rules import Access
from komeet.api.routes import Route
from komeet.core.http import HttpRequest, Reply
from komeet.metering.charge import Buyer, terms_of
from komeet.metering.tariff import Tariff, tariff
from komeet.pipeline.ports import Ports
from komeet.routing.listed import Listed

PATH: Final = "/api/models"
_HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"public, max-age=60"))
_MINUTE_MS: Final = 60_000


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model. What is not known is left out."""

    id: str
    provider: str
    type: str
    features: tuple[str, ...] = ()
    context_window: int | None = None
    output_limit: int | None = None
    prices: Tariff | None = None
    deprecated_at: str | None = None
    shutdown_at: str | None = None
    successor: str | None = None


class PublicModels:
    """The list for everybody: models of providers, without routes and aliases, at the prices that hold for anyone."""

    def __init__(self, ports: Ports) -> None:
        self._ports: Final = ports
        self._made: tuple[Sequence[Listed], int, bytes] | None = None
        """The list and the minute that the body was written for, and the body: asking again costs nothing."""

    @property
    def route(self) -> Route:
        """The route that leads here."""
        return Route(method="GET", path=PATH, access=Access.PUBLIC, handler=self.answer)

    async def answer(self, request: HttpRequest, reply: Reply) -> None:  # noqa: ARG002 - handlers are alike
        """Answer with every model that is listed."""
        listing, now = self._ports.directory.listing(), self._ports.clock.unix_ms()
        minute = now // _MINUTE_MS
        if self._made is None or self._made[0] is not listing or self._made[1] != minute:
            lines = [self._line(listed, now) for listed in listing]
            self._made = listing, minute, msgspec.json.encode({"object": "list", "data": lines})
        reply.whole(200, _HEADERS, self._made[2])

    def _line(self, listed: Listed, now: int) -> Line:
        # Rules for one customer, project or key hold for none of those who are not known.
        sale = self._ports.sales.find(Buyer(), provider=listed.provider, model=listed.model, at=now)
        terms = terms_of(sale, price=listed.price, listed=listed.listed)
        return Line(
            id=listed.id,
            provider=listed.provider,
            type=listed.type,
            features=listed.features,
            context_window=listed.window,
            output_limit=listed.output_limit,
            prices=None if terms is None else tariff(terms),
            **ending(listed, now),
        )


def ending(listed: Listed, now: int) -> Mapping[str, str | None]:
    """Return `deprecated_at`, `shutdown_at` and `successor` of a model at `now` (Unix milliseconds), where known."""
    span = listed.ending(at=now)
    if span is None:
        return {}
    days = {"deprecated_at": span.deprecated, "shutdown_at": span.shutdown}
    return {name: day.isoformat() for name, day in days.items() if day is not None} | {"successor": span.successor}
