"""A model at a place, as other gateways list them: what providers and routes are made from."""

from decimal import Decimal
from typing import Any

from msgspec import Struct

from komeet.providers.registry import Row


class Place(Struct, frozen=True, kw_only=True):
    """Where a model is asked; two models of one place are of one provider."""

    row: Row | None
    """None: an address of somebody's own."""
    base_url: str | None = None
    """None: the row's."""
    api_version: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    aws: tuple[tuple[str, str], ...] = ()
    google: tuple[tuple[str, str], ...] = ()
    wanted: str | None = None
    """What the provider should be called, where it is an address of somebody's own."""

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells it from other places."""
        row = None if self.row is None else self.row.name
        return (row, self.base_url, self.api_version, self.headers, self.aws, self.google, self.wanted)


class Deployment(Struct, frozen=True, kw_only=True):
    """A model at a place, under the name that callers use."""

    path: str
    alias: str
    place: Place
    model: str
    """As the place is asked for it."""
    keys: tuple[str, ...] = ()
    """What the configuration says for its keys: `${NAME}`."""
    weight: Decimal = Decimal(1)
    tier: int = 0
    """Asked after those with less."""
    when: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Which calls it is for, as a group of a route says it; none: all."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    seconds: Decimal | None = None
    """How long it may take to say something."""
    price: dict[str, Any] | None = None
