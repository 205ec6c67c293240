"""The part of the configuration file that is about answers which are given once more."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from komeet.cache.policy import OfRoute, Policy
from komeet.config.routes import Route
from komeet.core.secrets import Secret

_Ttl = Annotated[int, Meta(ge=1, le=31_536_000)]


class Cache(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers that are given once more to the same call, without a provider (docs/cache.md)."""

    enabled: Annotated[
        bool, Meta(description="Whether all calls are answered from it that can be; else those of routes that say so.")
    ] = False
    on_request: Annotated[
        bool, Meta(description="Whether callers may ask for it by `x-komeet-cache: use` where it is not on.")
    ] = False
    ttl_seconds: Annotated[_Ttl, Meta(description="How long an answer is good for.")] = 3_600
    shared_by: Annotated[
        Literal["key", "organisation"],
        Meta(description="Who has answers in common: nobody but each key itself, or all keys of an organisation."),
    ] = "key"
    keys: Annotated[tuple[str, ...], Meta(description="Patterns of the names of keys that may use it.")] = ("*",)
    tags: Annotated[
        tuple[str, ...], Meta(description="Of which a key must have one besides; empty: none is needed.")
    ] = ()
    wait_seconds: Annotated[
        float,
        Meta(ge=0, le=3_600, description="How long a call waits for the same one that is under way in its worker."),
    ] = 30.0
    max_answer_bytes: Annotated[int, Meta(ge=1_024, le=64 << 20, description="Longer answers are not kept.")] = 1 << 20
    max_bytes: Annotated[
        int, Meta(ge=65_536, description="How much is kept in all, about; above it the oldest answers go.")
    ] = 256 << 20
    database: Annotated[
        Secret | None,
        Meta(
            description="Another PostgreSQL, or `local` for `answers.db` in the data directory of each machine."
            " Default: where the request log is."
        ),
    ] = None


def policy_of(cache: Cache, routes: Sequence[Route]) -> Policy:
    """Return what the operator wants of the cache."""
    return Policy(
        everywhere=cache.enabled,
        on_request=cache.on_request,
        ttl=cache.ttl_seconds,
        shared_by=cache.shared_by,
        keys=cache.keys,
        tags=cache.tags,
        routes={
            route.name: OfRoute(enabled=route.cache.enabled, ttl=route.cache.ttl_seconds)
            for route in routes
            if route.cache is not None
        },
        wait=cache.wait_seconds,
        most=cache.max_answer_bytes,
    )
