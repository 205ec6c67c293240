"""From the name of a model to who can answer for it: an immutable snapshot of providers, prices and profiles."""

import difflib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from komeet.catalog.capabilities import Capabilities
from komeet.catalog.dialect import Dialect
from komeet.catalog.lifecycle import Lifecycle, Lifespan
from komeet.catalog.own import OwnPrices, is_pattern
from komeet.catalog.price import FREE, ModelPrice
from komeet.catalog.profile import Profile
from komeet.core.clock import Clock
from komeet.core.errors import ModelNotFound, ModelRetired
from komeet.routing.listed import Listed

_REMEMBERED = 4096
_LONGEST = 256
"""Characters of a model's name."""
_DAY_MS = 86_400_000

Retired: TypeAlias = Literal["refuse", "replace", "ask"]
"""What becomes of a call to a model that its provider has shut down: it is refused, its successor answers, or the
provider is asked all the same."""


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
    def free_models(self) -> tuple[str, ...]: ...

    @property
    def rank(self) -> int: ...

    @property
    def dialect(self) -> Dialect: ...

    @property
    def known_as(self) -> str | None: ...


P = TypeVar("P", bound=Offering)


class Candidate(Struct, Generic[P], frozen=True, kw_only=True):
    """A provider that can be asked for a model."""

    provider: P
    model: str
    """As this provider is asked for it."""
    names: tuple[str, ...]
    """The names under which a key may be allowed it."""
    profile: Profile
    price: ModelPrice | None
    """What the provider bills; None: nobody knows."""
    listed: ModelPrice | None = None
    """What the price book says of it, where that is another."""
    lifespan: Lifespan | None = None
    """Until when it can be called, where an end is known."""
    replaces: Lifespan | None = None
    """The model that was asked for, where that is shut down and this one answers in its place."""
    effort: str | None = None
    """How much it is to reason, where the caller does not say."""

    @property
    def context_window(self) -> int | None:
        """Tokens of input and output together, where anybody says."""
        return self.profile.context_window or (None if self.price is None else self.price.context_window)


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of models besides prices and what they take."""

    lifecycle: Lifecycle = Lifecycle()
    """Until when they can be called."""
    capabilities: Capabilities = Capabilities()
    """What lists show of them."""
    retired: Retired = "refuse"
    """What becomes of calls to those that are shut down."""


class Known(Protocol):
    """A model that a price book lists."""

    @property
    def id(self) -> str: ...

    @property
    def answers(self) -> bool: ...


class Book(Protocol):
    """Prices, and the models that a provider is known to have."""

    def find(self, price_id: str, model: str, *, at: int, answers: bool = True) -> ModelPrice | None: ...

    def models(self, price_id: str) -> Sequence[Known]: ...

    def next_change(self, price_id: str, *, at: int) -> int | None: ...

    def owner(self, model: str) -> str | None: ...


class Profiles(Protocol):
    """Facts about model families."""

    def find(self, family: str, model: str) -> Profile: ...


_NONE: Final = Facts()


class Directory(Generic[P]):
    """Resolves names; remembers what it resolved, within a bound."""

    def __init__(
        self,
        providers: Sequence[P],
        book: Book,
        profiles: Profiles,
        clock: Clock,
        own: OwnPrices | None = None,
        facts: Facts = _NONE,
    ) -> None:
        """Take the providers, and what is known of their models; `own` are prices that go before the book's."""
        self._providers = {provider.name: provider for provider in providers}
        self._by_rank = sorted(providers, key=lambda provider: provider.rank)
        self._book = book
        self._profiles = profiles
        self._own = own or OwnPrices()
        self._facts: Final = facts
        self._clock = clock
        self._resolved: dict[tuple[str, bool], Candidate[P]] = {}
        self._listed: tuple[Listed, ...] | None = None
        self._similar: dict[str, list[str]] = {}
        """The ids of the list, by what those have in common that can be taken for each other."""
        self._until = 0
        """Unix milliseconds at which a price may change, and what was found is forgotten."""

    @property
    def providers(self) -> Sequence[P]:
        """All providers, in the order in which they are asked for a bare name."""
        return self._by_rank

    def resolve(self, name: str, *, answers: bool = True) -> Candidate[P]:
        """Return who answers for `name`.

        `provider/model` names a provider. A bare name is asked of the first of: those who are known to offer it, by
        their rank; the maker that the name tells, since it may be newer than the price book; those whose models nobody
        knows, by their rank.

        Args:
            name: what the caller calls it.
            answers: whether it is to generate something; False prices also models without a price for output.

        A model that its provider has shut down is refused, or its successor there is returned, as the policy says.

        Raises:
            ModelNotFound: nobody does; says what would help.
            ModelRetired: its provider has shut it down; names the successor.
        """
        self._forget_old()
        found = self._resolved.get((name, answers))
        if found is None:
            found = self._living(self._resolve(name, answers=answers), answers=answers)
            if len(self._resolved) >= _REMEMBERED:
                self._resolved.clear()
            self._resolved[name, answers] = found
        return found

    def listing(self) -> Sequence[Listed]:
        """List every model that is known to be offered, each once, by the shortest name that leads to it."""
        self._forget_old()
        if self._listed is None:
            self._listed = tuple({listed.id: listed for listed in self._list()}.values())
            self._similar = {}
            for listed in self._listed:
                self._similar.setdefault(_start(listed.id), []).append(listed.id)
        return self._listed

    def retired(self) -> Sequence[Listed]:
        """List the models that their providers have shut down, each once; calls to them go as the policy says."""
        now = self._clock.unix_ms()
        return [
            self._line(provider, span.model, answers=True)
            for provider in self._by_rank
            for span in self._facts.lifecycle.models(provider.name, provider.known_as)
            if span.is_retired(at=now) and (provider.models is None or _matches(span.model, provider.models))
        ]

    def _living(self, found: Candidate[P], *, answers: bool) -> Candidate[P]:
        span, now, provider = found.lifespan, self._clock.unix_ms(), found.provider
        if span is None or self._facts.retired == "ask" or not span.is_retired(at=now):
            return found
        successor = self._facts.lifecycle.successor(provider.name, provider.known_as, found.model, at=now)
        if self._facts.retired == "replace" and successor is not None:
            return replace(self._candidate(provider, successor, answers=answers), replaces=span)
        hint = f"; `{provider.name}/{successor}` replaces it" if successor is not None else ""
        raise ModelRetired(
            f"The model `{found.model}` {span.words()} by {provider.name}{hint}."
            " GET /v1/models lists what is available.",
            param="model",
        )

    def _forget_old(self) -> None:
        now = self._clock.unix_ms()
        if now >= self._until:
            self._resolved.clear()
            self._listed = None
            self._until = self._next_change(now)

    def _next_change(self, now: int) -> int:
        prices = {provider.price_id for provider in self._by_rank if provider.price_id is not None}
        moments = [self._own.next_change(at=now), self._facts.lifecycle.next_change(at=now)]
        moments += (self._book.next_change(price_id, at=now) for price_id in prices)
        return min([moment for moment in moments if moment is not None], default=now + _DAY_MS)

    def _resolve(self, name: str, *, answers: bool) -> Candidate[P]:
        prefix, _, rest = name.partition("/")
        if len(name) > _LONGEST or not _is_plain(name) or not _is_plain(rest):
            # What a provider makes of such a name is not what was priced and allowed here.
            shown = name[:_LONGEST].encode("unicode_escape").decode("ascii")
            raise ModelNotFound(
                f"No model is called `{shown}`: names have at most {_LONGEST} characters, and no space around them.",
                param="model",
            )
        if rest and prefix in self._providers:
            return self._candidate(self._providers[prefix], rest, answers=answers)
        provider = self._knower(name, answers=answers) or self._maker(name) or self._taker()
        if provider is None:
            raise ModelNotFound(self._missing(name), param="model")
        return self._candidate(provider, name, answers=answers)

    def _knower(self, model: str, *, answers: bool) -> P | None:
        known = (provider for provider in self._by_rank if self._knows(provider, model, answers=answers))
        return next(known, None)

    def _knows(self, provider: P, model: str, *, answers: bool) -> bool:
        if provider.models is not None:
            return any(fnmatchcase(model, pattern) for pattern in provider.models)
        own = self._own.models(provider.name, at=self._clock.unix_ms())
        if any(name == model and (generates or not answers) for name, generates in own):
            return True
        return provider.price_id is not None and self._listed_price(provider, model, answers=answers) is not None

    def _maker(self, model: str) -> P | None:
        maker = self._book.owner(model)
        if maker is None:
            return None
        own = (one for one in self._by_rank if one.models is None and maker in (one.price_id, one.name))
        return next(own, None)

    def _taker(self) -> P | None:
        return next((one for one in self._by_rank if one.models is None and one.price_id is None), None)

    def _candidate(self, provider: P, model: str, *, answers: bool) -> Candidate[P]:
        return Candidate(
            provider=provider,
            model=model,
            names=self._names(provider, model),
            profile=replace(self._profiles.find(provider.family, model), dialect=provider.dialect),
            price=self._price(provider, model, answers=answers),
            listed=self._listed_price(provider, model, answers=answers),
            lifespan=self._facts.lifecycle.find(provider.name, provider.known_as, model),
        )

    def _names(self, provider: P, model: str) -> tuple[str, ...]:
        """Return what the model goes by; where its own name begins as another provider's would, it is not used bare."""
        full = f"{provider.name}/{model}"
        return (full,) if self._is_taken(model) else (model, full)

    def _is_taken(self, model: str) -> bool:
        """Whether the name of a model says, to whoever reads it, that it is of a provider that there is."""
        prefix, slash, _ = model.partition("/")
        return bool(slash) and prefix in self._providers

    def _price(self, provider: P, model: str, *, answers: bool) -> ModelPrice | None:
        own = self._own.find(provider.name, model, at=self._clock.unix_ms(), answers=answers)
        return own or self._listed_price(provider, model, answers=answers)

    def _listed_price(self, provider: P, model: str, *, answers: bool) -> ModelPrice | None:
        if provider.free or any(fnmatchcase(model, pattern) for pattern in provider.free_models):
            return FREE
        if provider.price_id is None:
            return None
        return self._book.find(provider.price_id, model, at=self._clock.unix_ms(), answers=answers)

    def _missing(self, name: str) -> str:
        if not self._providers:
            return (
                f"The model `{name}` is not available: no provider is configured."
                " Set OPENAI_API_KEY, or see `komeet doctor`."
            )
        self.listing()
        close = difflib.get_close_matches(name, self._similar.get(_start(name), ()), n=1)
        hint = f" Did you mean `{close[0]}`?" if close else ""
        providers = ", ".join(provider.name for provider in self._by_rank)
        return (
            f"The model `{name}` does not exist, or no configured provider offers it ({providers}).{hint}"
            " GET /v1/models lists what is available; `provider/model` names a provider."
        )

    def _list(self) -> Iterator[Listed]:
        now = self._clock.unix_ms()
        for provider in self._by_rank:
            for model, answers in self._known(provider):
                line = self._line(provider, model, answers=answers)
                if self._facts.retired == "ask" or line.lifespan is None or not line.lifespan.is_retired(at=now):
                    yield line

    def line(self, found: Candidate[P], name: str, *, answers: bool) -> Listed:
        """Return what lists say of a model, by the name `name`."""
        return Listed(
            id=name,
            provider=found.provider.name,
            model=found.model,
            names=found.names,
            context_window=found.context_window,
            price=found.price,
            listed=found.listed,
            answers=answers,
            profile=found.profile,
            capability=self._facts.capabilities.find(found.provider.known_as, found.model),
            lifespan=found.lifespan,
        )

    def _line(self, provider: P, model: str, *, answers: bool) -> Listed:
        bare = not self._is_taken(model) and self._knower(model, answers=answers) is provider
        candidate = self._candidate(provider, model, answers=answers)
        return self.line(candidate, model if bare else f"{provider.name}/{model}", answers=answers)

    def _known(self, provider: P) -> Sequence[tuple[str, bool]]:
        """Return the models of a provider, and whether each of them generates something."""
        listed = self._book.models(provider.price_id) if provider.price_id is not None else ()
        priced = [(known.id, known.answers) for known in listed if known.answers or self._embeds(provider, known.id)]
        own = self._own.models(provider.name, at=self._clock.unix_ms())
        priced += [each for each in own if each[0] not in dict(priced)]
        free = [pattern for pattern in provider.free_models if not is_pattern(pattern)]
        if provider.models is None:
            return [*priced, *((model, False) for model in free if model not in dict(priced))]
        exact = [model for model in provider.models if not is_pattern(model)]
        patterns = [model for model in provider.models if model not in exact]
        matching = [each for each in priced if any(fnmatchcase(each[0], pattern) for pattern in patterns)]
        return [
            *((model, dict(priced).get(model, True)) for model in exact),
            *(m for m in matching if m[0] not in exact),
        ]

    def _embeds(self, provider: P, model: str) -> bool:
        """Whether a model that generates nothing can be asked for something else: it has a price for what goes in."""
        return provider.price_id is not None and self._price(provider, model, answers=False) is not None


def _matches(model: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in patterns)


def _is_plain(name: str) -> bool:
    return name.isprintable() and name == name.strip()


def _start(name: str) -> str:
    """Return the first two letters of a model's own name: comparing a name with those alike, not with all, is quick."""
    return name.rpartition("/")[2][:2].lower()
