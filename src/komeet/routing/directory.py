"""From the name of a model to who can answer for it: an immutable snapshot of providers, prices and profiles."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from komeet.catalog.price import FREE, ModelPrice
from komeet.catalog.profile import Profile
from komeet.core.clock import Clock
from komeet.core.errors import ModelNotFound

_REMEMBERED = 4096
_DAY_MS = 86_400_000


class Offering(Protocol):
    """What routing needs to know of a provider."""

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> str: ...

    @property
    def models(self) -> tuple[str, ...] | None: ...

    @property
    def price_id(self) -> str | None: ...

    @property
    def free(self) -> bool: ...

    @property
    def rank(self) -> int: ...


P = TypeVar("P", bound=Offering)


class Candidate(Struct, Generic[P], frozen=True, kw_only=True):
    """A provider that can be asked for a model."""

    provider: P
    model: str
    """As this provider is asked for it."""
    profile: Profile
    price: ModelPrice | None
    """None: nobody knows."""

    @property
    def context_window(self) -> int | None:
        """Tokens of input and output together, where anybody says."""
        return self.profile.context_window or (None if self.price is None else self.price.context_window)

    @property
    def names(self) -> tuple[str, str]:
        """The names under which a key may be allowed it."""
        return self.model, f"{self.provider.name}/{self.model}"


class Listed(Struct, frozen=True, kw_only=True):
    """A line of the list of models."""

    id: str
    """The shortest name that leads there."""
    provider: str
    model: str
    context_window: int | None
    price: ModelPrice | None


class Known(Protocol):
    """A model that a price book lists."""

    @property
    def id(self) -> str: ...

    @property
    def answers(self) -> bool: ...


class Book(Protocol):
    """Prices, and the models that a provider is known to have."""

    def find(self, price_id: str, model: str, *, at: int) -> ModelPrice | None: ...

    def models(self, price_id: str) -> Sequence[Known]: ...

    def next_change(self, price_id: str, *, at: int) -> int | None: ...

    def owner(self, model: str) -> str | None: ...


class Profiles(Protocol):
    """Facts about model families."""

    def find(self, family: str, model: str) -> Profile: ...


class Directory(Generic[P]):
    """Resolves names; remembers what it resolved, within a bound."""

    def __init__(self, providers: Sequence[P], book: Book, profiles: Profiles, clock: Clock) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._by_rank = sorted(providers, key=lambda provider: provider.rank)
        self._book = book
        self._profiles = profiles
        self._clock = clock
        self._resolved: dict[str, Candidate[P]] = {}
        self._until = 0
        """Unix milliseconds at which a price may change, and what was resolved is forgotten."""

    @property
    def providers(self) -> Sequence[P]:
        """All providers, in the order in which they are asked for a bare name."""
        return self._by_rank

    def resolve(self, name: str) -> Candidate[P]:
        """Return who answers for `name`: `provider/model`, or a bare model that a provider is known to offer.

        Raises:
            ModelNotFound: nobody does; says what would help.
        """
        now = self._clock.unix_ms()
        if now >= self._until or len(self._resolved) >= _REMEMBERED:
            self._resolved.clear()
            self._until = self._next_change(now)
        found = self._resolved.get(name)
        if found is None:
            found = self._resolved[name] = self._resolve(name)
        return found

    def _next_change(self, now: int) -> int:
        prices = {provider.price_id for provider in self._by_rank if provider.price_id is not None}
        moments = [self._book.next_change(price_id, at=now) for price_id in prices]
        return min([moment for moment in moments if moment is not None], default=now + _DAY_MS)

    def _resolve(self, name: str) -> Candidate[P]:
        prefix, slash, rest = name.partition("/")
        if slash and rest and prefix in self._providers:
            return self._candidate(self._providers[prefix], rest)
        for provider in self._by_rank:
            if self._offers(provider, name):
                return self._candidate(provider, name)
        # Newer than the price book, and its name says who makes it: the provider knows whether it exists.
        maker = self._book.owner(name)
        for provider in self._by_rank:
            if maker is not None and provider.price_id == maker and provider.models is None:
                return self._candidate(provider, name)
        raise ModelNotFound(self._missing(name), param="model")

    def _offers(self, provider: P, model: str) -> bool:
        if provider.models is not None:
            return any(fnmatchcase(model, pattern) for pattern in provider.models)
        if provider.price_id is not None:
            return self._price(provider, model) is not None
        return True

    def _candidate(self, provider: P, model: str) -> Candidate[P]:
        return Candidate(
            provider=provider,
            model=model,
            profile=self._profiles.find(provider.family, model),
            price=self._price(provider, model),
        )

    def _price(self, provider: P, model: str) -> ModelPrice | None:
        if provider.free:
            return FREE
        if provider.price_id is None:
            return None
        return self._book.find(provider.price_id, model, at=self._clock.unix_ms())

    def _missing(self, name: str) -> str:
        if not self._providers:
            return (
                f"The model `{name}` is not available: no provider is configured."
                " Set OPENAI_API_KEY, or see `komeet doctor`."
            )
        close = difflib.get_close_matches(name, [listed.id for listed in self.listing()], n=1)
        hint = f" Did you mean `{close[0]}`?" if close else ""
        providers = ", ".join(provider.name for provider in self._by_rank)
        return (
            f"The model `{name}` does not exist, or no configured provider offers it ({providers}).{hint}"
            " GET /v1/models lists what is available; `provider/model` names a provider."
        )

    def listing(self) -> list[Listed]:
        """List every model that is known to be offered, each once, by the shortest name that leads to it."""
        found: list[Listed] = []
        taken: set[str] = set()
        for provider in self._by_rank:
            for model in self._known(provider):
                bare = model not in taken and model.partition("/")[0] not in self._providers
                taken.add(model)
                candidate = self._candidate(provider, model)
                found.append(
                    Listed(
                        id=model if bare else f"{provider.name}/{model}",
                        provider=provider.name,
                        model=model,
                        context_window=candidate.context_window,
                        price=candidate.price,
                    )
                )
        return found

    def _known(self, provider: P) -> Sequence[str]:
        listed = self._book.models(provider.price_id) if provider.price_id is not None else ()
        priced = [known.id for known in listed if known.answers]
        if provider.models is None:
            return priced
        exact = [model for model in provider.models if not any(sign in model for sign in "*?[")]
        patterns = [model for model in provider.models if model not in exact]
        return [*exact, *(m for m in priced if m not in exact and any(fnmatchcase(m, p) for p in patterns))]
