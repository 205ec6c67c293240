"""The operator's own prices: they go before the price book, each from its day on."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from msgspec import Struct

from komeet.catalog.price import ModelPrice


class OwnPrice(Struct, frozen=True, kw_only=True):
    """What a model costs at a provider, from a moment on."""

    provider: str
    model: str
    """Its name, or a pattern."""
    since: int = 0
    """Unix milliseconds."""
    price: ModelPrice
    answers: bool = True
    """Whether its output has a price; not so for embeddings and the like."""


class OwnPrices:
    """Finds the price that is in force: of the first name or pattern that fits and has begun, the latest one."""

    def __init__(self, prices: Iterable[OwnPrice] = ()) -> None:
        """Take the prices in the order in which they are tried; raises ValueError where two begin at once."""
        self._prices: Final[dict[tuple[str, str], list[OwnPrice]]] = {}
        for price in prices:
            begun = self._prices.setdefault((price.provider, price.model), [])
            if any(other.since == price.since for other in begun):
                raise ValueError(f"two prices of {price.model} at {price.provider} begin at once")
            begun.append(price)
            begun.sort(key=lambda each: -each.since)

    def find(self, provider: str, model: str, *, at: int, answers: bool = True) -> ModelPrice | None:
        """Return what a model costs, or None where no price of the operator's is in force.

        Args:
            provider: by its name in the configuration, not in the price book.
            model: as the provider is asked for it.
            at: Unix milliseconds.
            answers: False to find also prices of models that generate nothing.
        """
        for (of, pattern), prices in self._prices.items():
            if of == provider and fnmatchcase(model, pattern):
                found = next((price for price in prices if price.since <= at and (price.answers or not answers)), None)
                if found is not None:
                    return found.price
        return None

    def models(self, provider: str, *, at: int) -> list[tuple[str, bool]]:
        """Return the models of a provider that are named, not by a pattern; and whether each generates something."""
        return [
            (model, any(price.answers for price in prices))
            for (of, model), prices in self._prices.items()
            if of == provider and not is_pattern(model) and any(price.since <= at for price in prices)
        ]

    def next_change(self, *, at: int) -> int | None:
        """Return the next moment (Unix milliseconds) at which a price begins."""
        later = [price.since for prices in self._prices.values() for price in prices if price.since > at]
        return min(later, default=None)


def is_pattern(model: str) -> bool:
    """Whether a name of a model stands for several."""
    return any(sign in model for sign in "*?[")
