"""The part of the configuration file that is about models as such: other names, and what is shut down."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from komeet.catalog.lifecycle import Lifecycle, Lifespan
from komeet.config.exact import Moment
from komeet.routing.directory import Retired

ModelId = Annotated[str, Meta(pattern=r"^[\x21-\x7e]{1,256}$")]
AliasName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}$")]
Aliases = Annotated[
    dict[AliasName, Annotated[str, Meta(min_length=1, max_length=256)]],
    Meta(description="Other names of models and routes: `smart: openai/gpt-5.2` (docs/models.md)."),
]


class End(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Until when a model can be called, in place of what Komeet knows; without dates: it has no end."""

    provider: Annotated[str, Meta(description="Its provider's name.")]
    model: Annotated[ModelId, Meta(description="As this provider is asked for it; no pattern.")]
    deprecated: Annotated[Moment | None, Meta(description="The day on which its end was announced.")] = None
    shutdown: Annotated[
        Moment | None, Meta(description="The last day on which it may answer; in UTC, it is refused when that is over.")
    ] = None
    successor: Annotated[ModelId | None, Meta(description="The model of this provider that replaces it.")] = None


class Models(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of models that their provider has shut down (docs/models.md)."""

    retired: Annotated[
        Literal["refuse", "replace", "ask"],
        Meta(
            description="A call to one: an error that names its successor; or the successor answers, and"
            " `x-komeet-model-replaced` says so (without one: the error); or the provider is asked all the same."
        ),
    ] = "refuse"
    lifecycle: Annotated[tuple[End, ...], Meta(description="Ends that you know better than Komeet does.")] = ()


class Catalog(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said of models to those who have no key."""

    public: Annotated[
        bool, Meta(description="Whether `GET /api/models` lists models, limits and prices for everybody.")
    ] = False


def lifecycle_of(models: Models, packaged: Lifecycle) -> Lifecycle:
    """Return what is known of the ends of models, the operator's own facts first.

    Raises:
        ValueError: a model is given twice, or replaces itself; names its path.
    """
    own: dict[tuple[str, str], Lifespan] = {}
    for index, end in enumerate(models.lifecycle):
        if (end.provider, end.model) in own:
            raise ValueError(f"models.lifecycle[{index}].model: {end.provider}/{end.model} is given twice")
        own[end.provider, end.model] = Lifespan(
            model=end.model,
            deprecated=_day(end.deprecated),
            shutdown=_day(end.shutdown),
            successor=end.successor,
            page="configuration",
        )
    try:
        return packaged.with_own(own)
    except ValueError as error:
        raise ValueError(f"models.lifecycle: {error}") from None


def policy_of(models: Models) -> Retired:
    """Return what becomes of calls to models that are shut down."""
    return models.retired


def leading(aliases: Mapping[str, str]) -> dict[str, str]:
    """Return what each alias leads to in the end.

    Raises:
        ValueError: one leads back to itself; names its path, and the way.
    """
    return {name: _end_of(name, aliases) for name in aliases}


def _end_of(name: str, aliases: Mapping[str, str]) -> str:
    way = [name]
    while (following := aliases.get(way[-1])) is not None:
        if following in way:
            raise ValueError(f"aliases.{name}: it leads back to itself: {' -> '.join([*way, following])}")
        way.append(following)
    return way[-1]


def _day(moment: Moment | None) -> date | None:
    return None if moment is None else datetime.fromtimestamp(moment / 1000, UTC).date()
