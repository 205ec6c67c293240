"""Rate limits as the configuration file says them."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, convert

from komeet.limits.limit import Scope
from komeet.limits.rules import Amounts, Rule

Amount = Annotated[int, Meta(ge=1, le=1_000_000_000_000)]


class Limit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often and how much. Of several that are about the same, each amount is of the first that has it."""

    scope: Annotated[
        Literal["key", "user", "model", "provider"],
        Meta(description="What is limited: each key, user, model or provider that matches, for itself."),
    ]
    match: Annotated[
        Annotated[tuple[str, ...], Meta(min_length=1)],
        Meta(
            description="Patterns of which one must match: the name or id of a key, the id of a user, the name of a"
            " model (`gpt-5*`, `openai/*`) or of a provider."
        ),
    ] = ("*",)
    tag: Annotated[str | None, Meta(description="Only keys that have this tag, or users by such keys.")] = None
    requests_per_minute: Annotated[
        Amount | None, Meta(description="Calls per minute: so many at once, and room comes back evenly.")
    ] = None
    requests_per_day: Annotated[Amount | None, Meta(description="Calls per day, in the same way.")] = None
    tokens_per_minute: Annotated[
        Amount | None, Meta(description="Tokens per minute, of input and output together.")
    ] = None
    tokens_per_day: Annotated[Amount | None, Meta(description="Tokens per day.")] = None
    concurrent: Annotated[Amount | None, Meta(description="Calls under way at once, in all workers together.")] = None
    wait_seconds: Annotated[
        Annotated[float, Meta(ge=0, le=600)] | None,
        Meta(description="For keys: how long a call may wait for room before it gets 429. Default: not at all."),
    ] = None
    waiting: Annotated[
        Annotated[int, Meta(ge=1, le=10_000)] | None,
        Meta(description="For keys: how many calls may wait in a worker, each after the other; default: 100."),
    ] = None


def mistake(limits: Sequence[Limit]) -> str | None:
    """Return what is wrong with the list and types cannot say, behind its path; None: nothing."""
    for index, limit in enumerate(limits):
        amounts = _amounts(limit)
        path = f"limits[{index}]"
        if amounts == Amounts():
            return f"{path}: give it an amount, such as requests_per_minute"
        if limit.scope != "key" and (limit.wait_seconds is not None or limit.waiting is not None):
            return f"{path}.wait_seconds: calls wait for limits of every kind where their key may; give it to a `key`"
        if limit.tag is not None and limit.scope not in {"key", "user"}:
            return f"{path}.tag: keys have tags; a limit of a {limit.scope} is for the calls of all keys"
    return None


def rules_of(limits: Sequence[Limit]) -> tuple[Rule, ...]:
    """Return the list as the pipeline takes it."""
    return tuple(
        Rule(scope=Scope(limit.scope), match=limit.match, tag=limit.tag, amounts=_amounts(limit)) for limit in limits
    )


def _amounts(limit: Limit) -> Amounts:
    return convert(limit, Amounts, from_attributes=True)
