"""The part of the configuration file that is about who is asked for a call, and what happens when it fails."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, convert

from komeet.routing import route as routing
from komeet.routing.health import BreakerPolicy
from komeet.routing.retry import RetryPolicy

_Seconds = Annotated[float, Meta(gt=0, le=86_400)]
_ModelName = Annotated[str, Meta(min_length=1, max_length=256)]


class Range(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers between two bounds, each of which may be left out."""

    over: Annotated[int | None, Meta(description="More than that.")] = None
    under: Annotated[int | None, Meta(description="Less than that.")] = None


class When(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a call must be like; all that is given must hold."""

    stream: Annotated[bool | None, Meta(description="Whether it is answered as a stream.")] = None
    tools: Annotated[bool | None, Meta(description="Whether it offers tools.")] = None
    json_schema: Annotated[bool | None, Meta(description="Whether its answer must be JSON of a schema.")] = None
    images: Annotated[bool | None, Meta(description="Whether it shows images.")] = None
    effort: Annotated[
        tuple[str, ...] | None,
        Meta(description="One of these efforts of reasoning is asked for; `default`: none is."),
    ] = None
    service_tier: Annotated[
        tuple[str, ...] | None,
        Meta(description="One of these tiers is asked for (`priority`, `flex`); `default`: none is, or that."),
    ] = None
    input_tokens: Annotated[Range | None, Meta(description="What it sends, at about four bytes a token.")] = None
    output_limit: Annotated[Range | None, Meta(description="The limit of output tokens; 0 where none is set.")] = None
    keys: Annotated[tuple[str, ...] | None, Meta(description="Patterns of the key's name.")] = None
    tags: Annotated[tuple[str, ...] | None, Meta(description="The key has one of these tags.")] = None
    without_tags: Annotated[tuple[str, ...] | None, Meta(description="The key has none of these tags.")] = None


class Candidate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that may be asked."""

    model: Annotated[_ModelName, Meta(description="As a caller would name it: `openai/gpt-5.2`.")]
    weight: Annotated[int, Meta(ge=1, le=1_000_000, description="Its part of the calls, among those of its group.")] = 1
    effort: Annotated[
        Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None,
        Meta(description="How much it reasons where a call does not say; default: as the model does by itself."),
    ] = None


class Group(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Models that are asked before those of the next group."""

    candidates: Annotated[
        tuple[Candidate, ...], Meta(min_length=1, description="The models; one that is not there is left out.")
    ]
    order: Annotated[
        Literal["listed", "weighted", "latency", "busy", "cheapest", "sticky"],
        Meta(description="Who goes first (docs/routing.md)."),
    ] = "listed"
    when: Annotated[When, Meta(description="Which calls the group is for; default: all.")] = When()


class RouteCache(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the calls of a route are answered from the cache (docs/cache.md)."""

    enabled: Annotated[bool, Meta(description="Whether they are.")] = True
    ttl_seconds: Annotated[
        Annotated[int, Meta(ge=1, le=31_536_000)] | None,
        Meta(description="How long an answer is good for; default: `cache.ttl_seconds`."),
    ] = None


class Route(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name that callers use like a model's."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}$", description="What callers write.")]
    groups: Annotated[tuple[Group, ...], Meta(min_length=1, description="Asked one after the other.")]
    description: Annotated[str, Meta(description="What it is for, for people.")] = ""
    cache: Annotated[
        RouteCache | None,
        Meta(description="Answers that are given once more; default: as `cache.enabled` says (docs/cache.md)."),
    ] = None


class Breaker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a model of a provider is left alone, since it fails; each worker judges for itself."""

    failures: Annotated[int, Meta(ge=1, description="In a row.")] = 10
    percent: Annotated[int, Meta(ge=1, le=100, description="Of the calls of the last seconds, 20 at least.")] = 50
    seconds: Annotated[
        _Seconds, Meta(description="Until a call finds out whether it is better; twice as long after each that fails.")
    ] = 1.0
    longest_seconds: Annotated[_Seconds, Meta(description="At most.")] = 4.0


class Failover(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is tried when a provider fails, before anything has reached the caller."""

    attempts: Annotated[
        int, Meta(ge=1, le=20, description="Most attempts for a call, the first one included; 1: nothing is repeated.")
    ] = 3
    seconds: Annotated[_Seconds, Meta(description="After its arrival, no further attempt begins.")] = 60.0
    wait_seconds: Annotated[
        float,
        Meta(ge=0, le=600, description="The longest Retry-After that is waited for; others are handed on."),
    ] = 5.0
    repeat_percent: Annotated[
        int,
        Meta(ge=0, le=100, description="Of a provider's calls, so many may be repeated there."),
    ] = 10
    repeat_reserve: Annotated[int, Meta(ge=0, le=1000, description="Repeats that it has in hand besides.")] = 3
    breaker: Annotated[Breaker, Meta(description="When a model of a provider is left alone.")] = Breaker()


def routes_of(routes: Sequence[Route]) -> tuple[routing.Route, ...]:
    """Return the routes as the router takes them."""
    return tuple(
        routing.Route(name=one.name, groups=tuple(_group(group) for group in one.groups), description=one.description)
        for one in routes
    )


def retry_of(failover: Failover) -> RetryPolicy:
    """Return how much is tried."""
    return RetryPolicy(
        attempts=failover.attempts,
        seconds=failover.seconds,
        wait_seconds=failover.wait_seconds,
        percent=failover.repeat_percent,
        reserve=failover.repeat_reserve,
    )


def breaker_of(failover: Failover) -> BreakerPolicy:
    """Return when somebody is left alone."""
    wanted = failover.breaker
    return BreakerPolicy(
        failures=wanted.failures,
        share=wanted.percent / 100,
        seconds=wanted.seconds,
        longest=max(wanted.seconds, wanted.longest_seconds),
    )


def _group(group: Group) -> routing.Group:
    return routing.Group(
        members=tuple(routing.Member(one.model, one.weight, one.effort) for one in group.candidates),
        order=routing.Order(group.order),
        when=routing.ALWAYS if group.when == When() else convert(group.when, routing.Condition, from_attributes=True),
    )
