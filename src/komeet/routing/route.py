"""Routes: names that stand for several candidates, and the order in which these are asked for a call."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final, Generic, Protocol, TypeVar, final

from msgspec import Struct
from msgspec.structs import replace

from komeet.canonical.usage import Usage
from komeet.core.errors import KomeetError, ModelNotFound
from komeet.metering.cost import exact_cost
from komeet.routing.directory import Candidate, Offering
from komeet.routing.health import Health, HealthBook, Who
from komeet.routing.traits import Traits

P = TypeVar("P", bound=Offering)


class Order(StrEnum):
    """In which order the candidates of a group are asked."""

    LISTED = "listed"
    """As they stand."""
    WEIGHTED = "weighted"
    """By chance, in proportion to their weights: a canary is a candidate with a small one."""
    LATENCY = "latency"
    """Who has been quickest to the first byte, the calls that are under way considered."""
    BUSY = "busy"
    """Who has the fewest calls under way, in proportion to the weights."""
    CHEAPEST = "cheapest"
    """Whose price for what this call is expected to use is lowest; unknown prices come last."""
    STICKY = "sticky"
    """The same one for the same conversation (its prompt cache is there), in proportion to the weights."""


class Span(Struct, frozen=True, kw_only=True):
    """Numbers between two bounds, each of which may be missing."""

    over: int | None = None
    under: int | None = None

    def has(self, number: int) -> bool:
        """Whether a number lies between them."""
        return (self.over is None or number > self.over) and (self.under is None or number < self.under)


class Condition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a call must be like; all that is given must hold. None: it does not matter."""

    stream: bool | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    images: bool | None = None
    effort: tuple[str, ...] | None = None
    """One of these; `default` is a call that asks for none."""
    service_tier: tuple[str, ...] | None = None
    """One of these: how soon the caller wants it, and what that may cost; `default` is a call that does not say."""
    input_tokens: Span | None = None
    """As far as they can be told from its bytes."""
    output_limit: Span | None = None
    keys: tuple[str, ...] | None = None
    """Patterns of the key's name."""
    tags: tuple[str, ...] | None = None
    """One of these is a tag of the key."""
    without_tags: tuple[str, ...] | None = None
    """None of these is."""

    def fails(self, traits: Traits) -> str | None:
        """Return what does not hold, in words; None: all does."""
        wanted: tuple[tuple[str, bool | None, bool], ...] = (
            ("stream", self.stream, traits.stream),
            ("tools", self.tools, traits.tools),
            ("json_schema", self.json_schema, traits.json_schema),
            ("images", self.images, traits.images),
        )
        for name, want, is_so in wanted:
            if want is not None and want != is_so:
                return f"{name} is {str(is_so).lower()}"
        if self.effort is not None and (traits.effort or "default") not in self.effort:
            return f"effort is {traits.effort or 'default'}"
        tier = traits.service_tier if traits.service_tier not in (None, "auto") else "default"
        if self.service_tier is not None and tier not in self.service_tier:
            return f"service_tier is {tier}"
        if self.input_tokens is not None and not self.input_tokens.has(traits.input_tokens):
            return f"input_tokens is about {traits.input_tokens:,}"
        if self.output_limit is not None and not self.output_limit.has(traits.output_limit or 0):
            return f"output_limit is {traits.output_limit or 'not set'}"
        return self._fails_key(traits)

    def _fails_key(self, traits: Traits) -> str | None:
        if self.keys is not None and not any(fnmatchcase(traits.key, pattern) for pattern in self.keys):
            return f"the key is {traits.key!r}"
        if self.tags is not None and not set(self.tags) & set(traits.tags):
            return "the key has none of the tags"
        if self.without_tags is not None and set(self.without_tags) & set(traits.tags):
            return "the key has one of the tags"
        return None


ALWAYS: Final = Condition()

AS_ASKED: Final = "it is what was asked for"
"""Why a call goes to the model that it names."""


class Member(Struct, frozen=True):
    """One of a group."""

    model: str
    """As a caller would name it: `provider/model`, a bare name, an alias."""
    weight: int = 1
    effort: str | None = None
    """How much it is to reason, where the caller does not say; None: as it does by itself."""


class Group(Struct, frozen=True, kw_only=True):
    """Candidates that are as good as each other, unless their order says otherwise."""

    members: tuple[Member, ...]
    order: Order = Order.LISTED
    when: Condition = ALWAYS


class Route(Struct, frozen=True, kw_only=True):
    """A name that callers use like a model's."""

    name: str
    groups: tuple[Group, ...]
    """Asked one after the other, those of which the condition holds."""
    description: str = ""


class Choice(Struct, Generic[P], frozen=True):
    """Somebody who can be asked."""

    candidate: Candidate[P]
    why: str
    """Why now, for people."""


class Passed(Struct, frozen=True):
    """Somebody, or a group, that is not asked."""

    model: str
    why: str


class Resolver(Protocol[P]):
    """Finds who answers for a model's name."""

    def resolve(self, name: str, *, answers: bool = True) -> Candidate[P]:
        """Return the candidate; raises ModelNotFound."""
        ...


class Moment(Struct, Generic[P], frozen=True, kw_only=True):
    """What an order depends on besides the call."""

    now: float
    """Seconds of a clock that only goes forward."""
    chance: Callable[[], float]
    """0 to 1, exclusive."""


@final
class Router(Generic[P]):
    """Says who is asked for a call, and in which order."""

    __slots__ = ("_aliases", "_health", "_resolver", "_routes")

    def __init__(
        self,
        resolver: Resolver[P],
        routes: Sequence[Route],
        health: HealthBook,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        """Take who finds models, the routes, how candidates do, and other names of models or routes, each with what it
        leads to in the end (never another alias).
        """
        self._aliases: Final = dict(aliases or {})
        self._resolver: Final = resolver
        self._routes: Final[Mapping[str, Route]] = {route.name: route for route in routes}
        self._health: Final = health

    @property
    def routes(self) -> Mapping[str, Route]:
        """All routes, by name."""
        return self._routes

    @property
    def aliases(self) -> Mapping[str, str]:
        """All aliases, and what each leads to: a route's name, or whatever the resolver knows."""
        return self._aliases

    def is_given(self, name: str) -> bool:
        """Whether a name was given by the operator: a route's, or an alias."""
        return name in self._routes or name in self._aliases

    def health(self, candidate: Candidate[P]) -> Health:
        """Return how a candidate has done."""
        return self._health.of(Who(candidate.provider.name, candidate.model))

    def order(
        self, name: str, traits: Callable[[], Traits], moment: Moment[P], *, answers: bool = True
    ) -> Iterator[Choice[P] | Passed]:
        """Yield whom to ask for a call to `name`, the best first, and between them who is left out, and why.

        Those that are not well at the moment come after all others. It is worked out as far as it is read.

        Args:
            name: of a route, or whatever the resolver knows.
            traits: what the call is like; asked for only where a route depends on it.
            moment: the time, and chance.
            answers: whether something is to be generated.

        Raises:
            ModelNotFound: nobody answers to that name.
        """
        name = self._aliases.get(name, name)
        route = self._routes.get(name)
        if route is None:
            candidate = self._resolver.resolve(name, answers=answers)
            yield Choice(candidate, _instead(candidate, AS_ASKED))
            return
        unwell: list[Choice[P]] = []
        for number, group in enumerate(route.groups, 1):
            failing = None if group.when is ALWAYS else group.when.fails(traits())
            if failing is not None:
                yield Passed(f"group {number}", f"not for this call: {failing}")
                continue
            found: list[tuple[Member, Candidate[P]]] = []
            for member in group.members:
                try:
                    model = self._aliases.get(member.model, member.model)
                    one = self._resolver.resolve(model, answers=answers)
                    found.append((member, one if member.effort is None else replace(one, effort=member.effort)))
                except ModelNotFound as missing:
                    yield Passed(member.model, missing.message)
            for candidate, why in self._ordered(group, found, traits, moment):
                said = f"group {number}, {_instead(candidate, why)}"
                if self.health(candidate).usable(moment.now):
                    yield Choice(candidate, said)
                else:
                    unwell.append(Choice(candidate, f"{said}; last, since it has not done well lately"))
        yield from unwell

    def _ordered(
        self,
        group: Group,
        found: list[tuple[Member, Candidate[P]]],
        traits: Callable[[], Traits],
        moment: Moment[P],
    ) -> Iterator[tuple[Candidate[P], str]]:
        match group.order:
            case Order.LISTED:
                yield from ((candidate, "as listed") for _, candidate in found)
            case Order.WEIGHTED:
                yield from _drawn(found, moment.chance)
            case Order.LATENCY:
                health = [(self.health(candidate).load(), candidate) for _, candidate in found]
                for load, candidate in sorted(health, key=lambda each: each[0]):
                    yield candidate, f"expected within {load * 1000:.0f} ms"
            case Order.BUSY:
                running = [(self.health(one).running / member.weight, one) for member, one in found]
                for load, candidate in sorted(running, key=lambda each: each[0]):
                    yield candidate, f"{load:g} calls under way for its weight"
            case Order.CHEAPEST:
                yield from _cheapest(found, traits())
            case Order.STICKY:
                yield from _sticky(found, traits().conversation)


def _drawn(found: list[tuple[Member, Candidate[P]]], chance: Callable[[], float]) -> Iterator[tuple[Candidate[P], str]]:
    left = list(found)
    total = sum(member.weight for member, _ in left)
    while left:
        point = chance() * total
        chosen = len(left) - 1
        for index, (member, _) in enumerate(left):
            point -= member.weight
            if point < 0:
                chosen = index
                break
        member, candidate = left.pop(chosen)
        yield candidate, f"drawn with {member.weight} of {total}"
        total -= member.weight


def _cheapest(found: list[tuple[Member, Candidate[P]]], traits: Traits) -> Iterator[tuple[Candidate[P], str]]:
    usage = Usage(input=traits.input_tokens, output=traits.expected_output)

    def cost(candidate: Candidate[P]) -> float:
        return math.inf if candidate.price is None else exact_cost(usage, candidate.price, tier=traits.service_tier)

    fitting = [(not _fits(candidate, traits), cost(candidate), candidate) for _, candidate in found]
    for too_small, amount, candidate in sorted(fitting, key=lambda each: each[:2]):
        price = "its price is not known" if amount == math.inf else f"about ${amount / 1e15:.6f}"
        yield candidate, f"{price}{'; its context may be too small' if too_small else ''}"


def _fits(candidate: Candidate[P], traits: Traits) -> bool:
    window = candidate.context_window
    return window is None or traits.input_tokens <= window


def _sticky(found: list[tuple[Member, Candidate[P]]], conversation: bytes) -> Iterator[tuple[Candidate[P], str]]:
    """Rendezvous hashing with weights: who joins or leaves moves only what is theirs."""

    def score(member: Member) -> float:
        drawn = hashlib.blake2b(member.model.encode(), key=conversation[:64], digest_size=8).digest()
        return -member.weight / math.log((int.from_bytes(drawn, "big") + 1) / (2**64 + 2))

    for _, candidate in sorted(found, key=lambda each: -score(each[0])):
        yield candidate, "where this conversation goes"


def _instead(candidate: Candidate[P], why: str) -> str:
    old = candidate.replaces
    if candidate.effort is not None:
        why = f"{why}, with effort {candidate.effort} unless the call names one"
    return why if old is None else f"{why}: {old.model} {old.words()}, and {candidate.model} replaces it"


def nobody(name: str, refusals: Sequence[KomeetError], passed: Sequence[Passed]) -> KomeetError:
    """Return the error of a call for which nobody can be asked: the first reason, if there is one."""
    if refusals:
        return refusals[0]
    reasons = "; ".join(f"{one.model}: {one.why}" for one in passed)
    return ModelNotFound(f"The route `{name}` has no candidate for this call. {reasons}", param="model")
