"""Where the calls of which keys may go, as the configuration file says it."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from komeet.routing import placement

ProviderTag = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]


class Placement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the calls of some keys demand of whoever answers them (docs/routing.md)."""

    require: Annotated[
        Annotated[tuple[ProviderTag, ...], Meta(min_length=1)],
        Meta(description="Tags, all of which a provider must have (`providers[].tags`); the embedded model has all."),
    ]
    keys: Annotated[
        Annotated[tuple[str, ...], Meta(min_length=1)], Meta(description="Patterns of the names of keys.")
    ] = ("*",)
    tags: Annotated[tuple[str, ...], Meta(description="Only keys that have one of these tags; default: all.")] = ()


def placements_of(wanted: Sequence[Placement]) -> placement.Placements:
    """Return the rules."""
    return placement.Placements(
        [placement.Placement(require=one.require, keys=one.keys, tags=one.tags) for one in wanted]
    )


def misplaced(wanted: Sequence[Placement], tags: Sequence[str]) -> str | None:
    """Return what is wrong with the rules, behind its path, where the providers have these tags; None: nothing."""
    for index, rule in enumerate(wanted):
        for tag in rule.require:
            if tag not in tags:
                return f"placement[{index}].require: no provider has the tag {tag!r} (providers[].tags)"
    return None
