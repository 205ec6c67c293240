"""The part of the configuration file that is about prices: what providers bill, and what customers are charged."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from komeet.config.exact import Exact, Moment


class Rates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars per million tokens, by class; a class that is left out costs what the class costs that contains it."""

    input: Annotated[Exact | None, Meta(description="What is sent, as far as no other class says more.")] = None
    cache_read: Annotated[Exact | None, Meta(description="Input that is read from a prompt cache.")] = None
    cache_write: Annotated[Exact | None, Meta(description="Input that is written to one, for minutes.")] = None
    cache_write_1h: Annotated[Exact | None, Meta(description="Input that is written to one, for an hour.")] = None
    input_audio: Annotated[Exact | None, Meta(description="Input that is sound.")] = None
    cache_read_audio: Annotated[Exact | None, Meta(description="Sound that is read from a prompt cache.")] = None
    input_image: Annotated[Exact | None, Meta(description="Input that is images.")] = None
    cache_read_image: Annotated[Exact | None, Meta(description="Images that are read from a prompt cache.")] = None
    output: Annotated[
        Exact | None,
        Meta(description="What is generated. Without it the price is for models that generate nothing (embeddings)."),
    ] = None
    reasoning: Annotated[Exact | None, Meta(description="Output that is reasoning.")] = None
    output_audio: Annotated[Exact | None, Meta(description="Output that is sound.")] = None
    output_image: Annotated[Exact | None, Meta(description="Output that is images.")] = None
    request: Annotated[Exact | None, Meta(description="Dollars for each call.")] = None
    web_search: Annotated[
        Exact | None, Meta(description="Dollars for each search that the provider runs, reranking included.")
    ] = None
    storage_search: Annotated[Exact | None, Meta(description="The same of files that are kept with it.")] = None
    second: Annotated[Exact | None, Meta(description="Dollars for each second of sound, where that is charged.")] = None


class LongContext(Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates for all tokens of a call that sends more; what it leaves out stays as it is."""

    above: Annotated[int, Meta(ge=1, le=1 << 40, description="Input tokens above which they hold.")]


class Tier(Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates of calls that are served in another tier; what it leaves out is as it is by default."""

    long_context: Annotated[
        tuple[LongContext, ...], Meta(description="Rates by how much a call sends; none: all alike.")
    ] = ()


class Tiers(Tier, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates of a model, with those of the provider's other tiers."""

    batch: Annotated[Tier | None, Meta(description="Rates of the tier `batch`.")] = None
    flex: Annotated[Tier | None, Meta(description="Rates of the tier `flex`.")] = None
    priority: Annotated[Tier | None, Meta(description="Rates of the tier `priority`.")] = None


class Price(Tiers, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a provider bills, in US dollars per million tokens; it goes before the price book.

    A class that is left out costs what the class costs that contains it.
    """

    provider: Annotated[str, Meta(min_length=1, description="The provider, by its name.")]
    model: Annotated[
        str, Meta(min_length=1, description="The model, as the provider is asked for it, or a pattern: `gpt-5.2*`.")
    ]
    since: Annotated[
        Moment | None,
        Meta(description="When it begins: a day (UTC), or a time of one. The latest that has begun is in force."),
    ] = field(default=None, name="from")


class Buyer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose calls they are; what is left out does not matter, what is given must all fit."""

    organisation: Annotated[str | None, Meta(description="The id of an organisation.")] = None
    project: Annotated[str | None, Meta(description="The id of a project.")] = None
    key: Annotated[str | None, Meta(description="The id of a key.")] = None
    tag: Annotated[str | None, Meta(description="A tag of the key: the customers of a group have one in common.")] = (
        None
    )


class Free(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is charged nothing in each window: an amount of charges, or a number of tokens; one of the two."""

    dollars: Annotated[Exact | None, Meta(description="Of charges, in US dollars.")] = None
    tokens: Annotated[
        Annotated[int, Meta(ge=1, le=1 << 60)] | None, Meta(description="Of input and output together.")
    ] = None
    per: Annotated[Literal["total", "hour", "day", "week", "month"], Meta(description="The window.")] = "month"
    zone: Annotated[str, Meta(description="The time zone in which windows begin.")] = "UTC"


class Sale(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What customers are charged. The first that fits a call counts; without one they are charged the cost."""

    buyer: Annotated[Buyer, Meta(description="Whose calls; default: everybody's.")] = field(default=Buyer(), name="for")
    models: Annotated[
        tuple[str, ...], Meta(description="Patterns of models, as the provider is asked for them; default: all.")
    ] = ()
    providers: Annotated[tuple[str, ...], Meta(description="Names of providers; default: all.")] = ()
    list_ratio: Annotated[
        Exact | None,
        Meta(description="Of the price book's price, without prices of your own: `0.8` is a fifth less."),
    ] = field(default=None, name="list")
    cost_ratio: Annotated[Exact | None, Meta(description="Of what the provider bills: `1.2` is a fifth more.")] = field(
        default=None, name="cost"
    )
    price: Annotated[Tiers | None, Meta(description="Prices of your own making, whatever the provider bills.")] = None
    free: Annotated[
        Free | None,
        Meta(description="What each organisation (or key without one) is charged nothing for, in each window."),
    ] = None
    since: Annotated[Moment | None, Meta(description="When it begins: a day (UTC), or a time of one.")] = field(
        default=None, name="from"
    )
