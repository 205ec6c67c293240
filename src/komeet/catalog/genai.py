"""Reads the price data of `genai-prices` (MIT, Pydantic) into our integers.

Imported by `catalog.compile` alone, and only when a book is made: the import takes half a second.

What its prices mean (its `types.py`): a price key is a class of usage; a class without a price is charged as the class
that contains it; a tiered price is a cliff (the highest tier whose `start` is below the *total* input tokens holds for
all tokens of the call); conditional prices are tried last to first, by UTC date or time of day; variants override
single keys for calls with a given service tier, speed or kind of processing.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from genai_prices import data_snapshot, types
from msgspec import Struct

from komeet.catalog.book import Book, Entry, Hours, Period, Shelf, book_version
from komeet.catalog.clauses import AllOf, AnyOf, Clause, Contains, EndsWith, Equals, Matches, OneOf, StartsWith
from komeet.catalog.price import ModelPrice, Rates, Step
from komeet.core.money import NANO_PER_DOLLAR, PerMillion

_CLASSES: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cache_read_audio",
    "input_image_mtok": "input_image",
    "cache_image_read_mtok": "cache_read_image",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
}
_COUNTED: Final = {
    "requests_kcount": "request",
    "web_searches_kcount": "web_search",
    "storage_searches_kcount": "storage_search",
}
"""What is counted, and is no tokens."""
_COUNTED_PER_MILLION: Final = 1000
"""The library's unit of it is a thousand, ours a million."""
_BY_CHARACTERS: Final = frozenset({"input_mchars"})
"""What models cost that are billed by characters, which count as their tokens."""
_BY_LENGTH: Final = frozenset({"input_audio_hours", "audio_hours"})
"""What models cost that are billed by the length of what is heard alone; sessions have only the second."""
_MS_PER_HOUR: Final = 3_600_000

_TIERS: Final = {"service_tier": None, "processing": "batch", "speed": "fast"}
"""The conditions that select a tier, and the tier's name; None: the condition's value."""

_FREE: Final = ":free"
"""How aggregators mark a model that costs nothing; the library leaves its prices empty."""

_Context = dict[str, str]


class _Reading(Struct, frozen=True, kw_only=True):
    """A model of the library, with what holds for all of its prices."""

    model: types.ModelInfo
    contexts: dict[str, _Context]
    version: str
    omitted: tuple[str, ...]
    free: bool
    characters: bool


def read_all() -> Book:
    """Compile every provider of the installed library."""
    version = book_version()
    providers = data_snapshot.get_snapshot().providers
    return Book(version, {provider.id: _shelf(provider, version) for provider in providers})


def _shelf(provider: types.Provider, version: str) -> Shelf:
    return Shelf(
        entries=tuple(_entry(model, version) for model in provider.models),
        fallbacks=tuple(provider.fallback_model_providers or ()),
        match=None if provider.model_match is None else _clause(provider.model_match),
    )


def _entry(model: types.ModelInfo, version: str) -> Entry:
    every = list(_every_price(model))
    keys = frozenset(key for price in every for key, _ in _items(price))
    contexts, unnamed = _contexts(model)
    carried: frozenset[str] = keys if keys in (_BY_LENGTH, _BY_CHARACTERS) else frozenset()
    omitted = (*sorted(keys - _CLASSES.keys() - _COUNTED.keys() - carried), *unnamed)
    rounded = {key for price in every for key, amounts in _items(price) for amount in amounts if not _is_exact(amount)}
    free = not keys and model.id.endswith(_FREE)
    names = [model.id, *_exact_names(model.match)]
    name = next((name for name in names if model.is_match(name)), None)
    reading = _Reading(
        model=model,
        contexts=contexts,
        version=version,
        omitted=omitted,
        free=free,
        characters=keys == _BY_CHARACTERS,
    )
    return Entry(
        id=name or model.id,
        name=model.name or "",
        match=_clause(model.match),
        periods=tuple(_periods(reading)),
        context_window=model.context_window,
        deprecated=bool(model.deprecated),
        listed=name is not None,
        answers="output_mtok" in keys or free,
        omitted=omitted,
        rounded=tuple(sorted(rounded)),
    )


def _exact_names(clause: types.MatchLogic) -> Iterator[str]:
    match clause:
        case types.ClauseEquals(equals=text):
            yield text
        case types.ClauseOr(or_=clauses):
            for each in clauses:
                yield from _exact_names(each)
        case _:
            pass


def _clause(clause: types.MatchLogic) -> Clause:
    match clause:
        case types.ClauseEquals(equals=text):
            return Equals(text.lower())
        case types.ClauseStartsWith(starts_with=text):
            return StartsWith(text.lower())
        case types.ClauseEndsWith(ends_with=text):
            return EndsWith(text.lower())
        case types.ClauseContains(contains=text):
            return Contains(text.lower())
        case types.ClauseRegex(regex=pattern):
            return Matches(pattern)
        case types.ClauseOr(or_=clauses):
            return _any_of([_clause(each) for each in clauses])
        case types.ClauseAnd(and_=clauses):
            return AllOf(tuple(_clause(each) for each in clauses))


def _any_of(clauses: list[Clause]) -> Clause:
    texts = tuple(clause.text for clause in clauses if isinstance(clause, Equals))
    others = [clause for clause in clauses if not isinstance(clause, Equals)]
    return AnyOf((OneOf(texts), *others)) if others else OneOf(texts)


def _every_price(model: types.ModelInfo) -> Iterator[types.ModelPrice]:
    if isinstance(model.prices, types.ModelPrice):
        yield model.prices
    else:
        yield from (conditional.prices for conditional in model.prices)
    yield from (variant.prices for variant in model.price_variants or ())


def _items(price: types.ModelPrice) -> Iterator[tuple[str, list[Decimal]]]:
    """Yield each key that has a price, with all amounts that it can have."""
    for key, value in vars(price).items():
        match value:
            case Decimal():
                yield key, [value]
            case types.TieredPrices():
                yield key, [value.base, *(tier.price for tier in value.tiers)]
            case None:
                pass
            case _:
                raise ValueError(f"{key}: {value!r} is not a price")


def _contexts(model: types.ModelInfo) -> tuple[dict[str, _Context], list[str]]:
    """Return the tiers of a model, by name, with the context that selects each; and the contexts that have no name."""
    contexts: dict[str, _Context] = {}
    unnamed: set[str] = set()
    for variant in model.price_variants or ():
        (key, value), *more = variant.when.items()
        name = _TIERS[key] or value if key in _TIERS and not more else None
        if name is None or contexts.setdefault(name, variant.when) != variant.when:
            unnamed.add(",".join(f"{key}={value}" for key, value in variant.when.items()))
    return contexts, sorted(unnamed)


def _periods(reading: _Reading) -> Iterator[Period]:
    model = reading.model
    constraints = [variant.constraint for variant in model.price_variants or ()]
    if not isinstance(model.prices, types.ModelPrice):
        constraints += [conditional.constraint for conditional in model.prices]
    days: set[date] = set()
    times = {time(0, tzinfo=UTC)}
    for constraint in constraints:
        match constraint:
            case types.StartDateConstraint():
                days.add(constraint.start_date)
            case types.TimeOfDateConstraint():
                times |= {_utc(constraint.start_time), _utc(constraint.end_time)}
            case None:
                pass
    before = min(days) - timedelta(days=1) if days else date(2026, 1, 1)
    previous: tuple[Hours, ...] | None = None
    for day in [before, *sorted(days)]:
        hours = tuple(
            _without_repeats(
                Hours(_milliseconds(start), _price(reading, datetime.combine(day, start))) for start in sorted(times)
            )
        )
        if hours != previous:
            since = 0 if previous is None else round(datetime.combine(day, time(0, tzinfo=UTC)).timestamp() * 1000)
            yield Period(since, hours)
            previous = hours


def _utc(moment: time) -> time:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return datetime.combine(date(2026, 1, 1), moment).astimezone(UTC).timetz()


def _milliseconds(moment: time) -> int:
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1000 + moment.microsecond // 1000


def _without_repeats(hours: Iterable[Hours]) -> Iterator[Hours]:
    previous: Hours | None = None
    for each in hours:
        if previous is None or each.price != previous.price:
            yield each
            previous = each


def _price(reading: _Reading, at: datetime) -> ModelPrice | None:
    model, free = reading.model, reading.free
    steps = _steps(model.get_prices(at), free=free)
    if steps is None:
        return None
    tiers = {name: _steps(model.get_prices(at, context), free=free) for name, context in reading.contexts.items()}
    return ModelPrice(
        version=reading.version,
        steps=steps,
        tiers={name: tier for name, tier in tiers.items() if tier is not None and tier != steps},
        context_window=model.context_window,
        omitted=reading.omitted,
        characters=reading.characters,
    )


def _steps(price: types.ModelPrice, *, free: bool) -> tuple[Step, ...] | None:
    """Return the rates by context length; None where the input has no price."""
    values = {key: value for key, value in vars(price).items() if value is not None}
    if free and not values:
        return (Step(above=0, rates=Rates(input=PerMillion(0), output=PerMillion(0))),)
    if "input_mtok" not in values:
        return _otherwise(values)
    starts = {tier.start for value in values.values() if isinstance(value, types.TieredPrices) for tier in value.tiers}
    return tuple(Step(above=above, rates=_rates(values, above)) for above in sorted({0, *starts}))


def _otherwise(values: dict[str, Decimal | types.TieredPrices]) -> tuple[Step, ...] | None:
    """Return the rates of a model that is billed by characters, or by the length of sound; None: by neither."""
    told = {key: value for key, value in values.items() if isinstance(value, Decimal)}
    if told.keys() != values.keys():
        return None
    if told.keys() == _BY_CHARACTERS:
        rates = Rates(input=_integer(max(told.values())), output=PerMillion(0))
    elif told.keys() == _BY_LENGTH:
        of_sound = _integer(max(told.values()) * 1_000_000 / _MS_PER_HOUR)
        rates = Rates(input=PerMillion(0), output=PerMillion(0), audio_ms=of_sound)
    else:
        return None
    return (Step(above=0, rates=rates),)


def _rates(values: dict[str, Decimal | types.TieredPrices], above: int) -> Rates:
    classes = {field: _integer(_at_step(values[key], above)) for key, field in _CLASSES.items() if key in values}
    classes.setdefault("output", PerMillion(0))
    for key, field in _COUNTED.items():
        if key in values:
            classes[field] = _integer(_at_step(values[key], above) * _COUNTED_PER_MILLION)
    return Rates(**classes)


def _at_step(value: Decimal | types.TieredPrices, above: int) -> Decimal:
    """Return the amount that holds for a call with more than `above` input tokens, up to the next step."""
    if isinstance(value, Decimal):
        return value
    amount = value.base
    for tier in value.tiers:
        if tier.start <= above:
            amount = tier.price
    return amount


def _is_exact(dollars_per_million: Decimal) -> bool:
    exact = dollars_per_million * NANO_PER_DOLLAR
    return exact == exact.to_integral_value()


def _integer(dollars_per_million: Decimal) -> PerMillion:
    return PerMillion(int((dollars_per_million * NANO_PER_DOLLAR).to_integral_value(ROUND_HALF_EVEN)))
