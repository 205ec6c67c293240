"""How much is known of providers and their models."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from komeet.catalog.profile import Profile
from komeet.providers.registry import Row


class Book(Protocol):
    """The models that the price book has prices of."""

    def models(self, price_id: str) -> "Sequence[Model]": ...


class Model(Protocol):
    """One of them."""

    @property
    def id(self) -> str: ...


class Profiles(Protocol):
    """What models take."""

    def find(self, family: str, model: str) -> Profile: ...


class Counts(Struct, frozen=True, kw_only=True):
    """What the registry, the price book and the profiles have."""

    providers: int
    """Rows of the registry, but for the embedded model."""
    priced: int
    """Models with a price: each once for each provider of the book."""
    profiled: int
    """Those among them of which more than the price is known: limits, efforts, what they take."""
    cancelled: int
    """Providers of which it is known how they bill a stream that is broken off."""
    health: int
    """Providers that can be asked, at no cost, whether they are there."""


def count(rows: Iterable[Row], book: Book, profiles: Profiles) -> Counts:
    """Count what is known."""
    counted = [row for row in rows if not row.embedded]
    families = {row.price_id: row.family for row in counted if row.price_id is not None}
    models = [(family, model.id) for price_id, family in families.items() for model in book.models(price_id)]
    return Counts(
        providers=len(counted),
        priced=len(models),
        profiled=sum(profiles.find(family, model) != Profile() for family, model in models),
        cancelled=sum(row.cancelled != "unknown" for row in counted),
        health=sum(row.health is not None for row in counted),
    )
