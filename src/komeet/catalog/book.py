"""The price book: what every model costs at every provider, compiled to integers and looked up by name.

It is made by `catalog.compile`, which is slow, and is then kept as bytes; nothing here needs the library that it is
made from.
"""

import re
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from importlib.metadata import version
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from komeet.catalog.clauses import Clause, holds, split
from komeet.catalog.price import ModelPrice

_LAYOUT: Final = 3
"""Raised when the classes below change, or what is made of a price: bytes of another layout are not read."""
_SOURCE: Final = "genai-prices"
_DAY_MS: Final = 86_400_000
_COMPACT_DATE = re.compile(r"-(20\d{2})(\d{2})(\d{2})(?=-|:|$)")


def book_version() -> str:
    """Return the name and the release of the price book that is installed: `genai-prices 0.2.3`."""
    return f"{_SOURCE} {version(_SOURCE)}"


def book_name() -> str:
    """Return a file name for the compiled book: another one for every release, and for every layout of ours."""
    return f"prices-{version(_SOURCE)}-{_LAYOUT}.msgpack"


class Hours(Struct, frozen=True, array_like=True):
    """The price from a time of day (UTC) until the next one."""

    start_ms: int
    """Milliseconds since midnight."""
    price: ModelPrice | None
    """None: the book lists the model and does not say what it costs."""


class Period(Struct, frozen=True, array_like=True):
    """The prices from a day until the next period."""

    since_ms: int
    """Unix milliseconds; the first period has no beginning, and says 0."""
    hours: tuple[Hours, ...]


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model of a provider."""

    id: str
    """A name to call it by."""
    name: str = ""
    match: Clause
    periods: tuple[Period, ...]
    context_window: int | None = None
    deprecated: bool = False
    listed: bool = True
    """Whether `id` is known to be a name that calls may use."""
    answers: bool = True
    """Whether its output has a price; not so for embeddings and the like."""
    omitted: tuple[str, ...] = ()
    """Charges that the book lists and the prices do not carry, by the book's own names."""
    rounded: tuple[str, ...] = ()
    """Charges that are finer than a nano-dollar per million, and were rounded to it."""


class Shelf(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The models of one provider, in the order in which they are tried."""

    entries: tuple[Entry, ...]
    fallbacks: tuple[str, ...] = ()
    """Providers whose entries are tried where no own one matches."""
    match: Clause | None = None
    """Holds for names of models that this provider makes."""


class Listed(Struct, frozen=True):
    """A model as lists show it."""

    id: str
    name: str
    context_window: int | None
    deprecated: bool
    answers: bool
    """False: an embedding model or the like; it has no price for output."""


class _Contents(Struct, frozen=True, kw_only=True):
    layout: int
    version: str
    shelves: dict[str, msgspec.Raw]


_contents = msgspec.msgpack.Decoder(_Contents)
_shelf = msgspec.msgpack.Decoder(Shelf)


class _Index:
    """Finds the first entry that matches a name, without trying those that only list other names."""

    __slots__ = ("_entries", "_listed", "_others", "shelf")

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._entries = shelf.entries
        self._listed: dict[str, int] = {}
        self._others: list[tuple[int, Clause]] = []
        for place, entry in enumerate(shelf.entries):
            names, rest = split(entry.match)
            for name in names:
                self._listed.setdefault(name, place)
            if rest is not None:
                self._others.append((place, rest))

    def find(self, name: str) -> Entry | None:
        """Return the entry for a name in lower case."""
        listed = self._listed.get(name, len(self._entries))
        for place, clause in self._others:
            if place > listed:
                break
            if holds(clause, name):
                return self._entries[place]
        return self._entries[listed] if listed < len(self._entries) else None


class Book:
    """Every price that is known. Immutable, but for shelves that are opened when they are first needed."""

    def __init__(self, book_version: str, shelves: Mapping[str, Shelf | msgspec.Raw]) -> None:
        self.version: Final = book_version
        self._shelves: Final = shelves
        self._opened: Final[dict[str, _Index]] = {}

    @classmethod
    def decode(cls, data: bytes) -> "Book":
        """Read what `encode` wrote.

        Raises:
            ValueError: it is something else, or was written by another release of Komeet.
        """
        try:
            contents = _contents.decode(data)
        except msgspec.DecodeError as error:
            raise ValueError(f"not a compiled price book: {error}") from None
        if contents.layout != _LAYOUT:
            raise ValueError(f"a compiled price book of layout {contents.layout}, where {_LAYOUT} is needed")
        return cls(contents.version, contents.shelves)

    def encode(self) -> bytes:
        """Write the book as bytes, to be kept under `book_name()`."""
        shelves = {
            name: shelf if isinstance(shelf, msgspec.Raw) else msgspec.Raw(msgspec.msgpack.encode(shelf))
            for name, shelf in self._shelves.items()
        }
        return msgspec.msgpack.encode(_Contents(layout=_LAYOUT, version=self.version, shelves=shelves))

    @cached_property
    def providers(self) -> tuple[str, ...]:
        """The names by which `price_id` may ask."""
        return tuple(self._shelves)

    def find(self, price_id: str, model: str, *, at: int, answers: bool = True) -> ModelPrice | None:
        """Return what a model costs, or None where that is not known; never a price of zero for an unknown one.

        Args:
            price_id: the provider, by the book's own name.
            model: the model, by any name that the provider knows it by.
            at: Unix milliseconds; prices change with dates, and a few with the time of day.
            answers: False to find also models that have no price for output (embeddings).

        The price holds until `next_change`. Finding it takes some tens of microseconds: keep it.
        """
        name = model.lower()
        found = self._match(price_id, name)
        if found is None:
            canonical = _COMPACT_DATE.sub(_dashed, name)
            if canonical != name:
                found = self._match(price_id, canonical)
        if found is None:
            return None
        entry, borrowed = found
        if answers and not entry.answers:
            return None
        price = _in_force(entry, at)
        # Tiers are the own provider's: what another one charges for them is not known from it.
        return replace(price, tiers={}) if borrowed and price is not None else price

    def owner(self, model: str) -> str | None:
        """Return the provider that makes a model, by its bare name, where the book can tell."""
        name = model.lower()
        for provider in self._shelves:
            clause = self._open(provider).match
            if clause is not None and holds(clause, name):
                return provider
        return None

    def models(self, price_id: str) -> list[Listed]:
        """Return the models of a provider that can be called by name, in the book's order; none for an unknown one."""
        if price_id not in self._shelves:
            return []
        return [
            Listed(entry.id, entry.name or entry.id, entry.context_window, entry.deprecated, entry.answers)
            for entry in self._open(price_id).entries
            if entry.listed
        ]

    def entries(self, price_id: str) -> tuple[Entry, ...]:
        """Return everything that the book knows of a provider's own models."""
        return self._open(price_id).entries if price_id in self._shelves else ()

    def next_change(self, price_id: str, *, at: int) -> int | None:
        """Return the next moment (Unix milliseconds) at which a price of this provider may be another one."""
        names = [price_id, *self._open(price_id).fallbacks] if price_id in self._shelves else []
        moments = [
            moment
            for name in names
            if name in self._shelves
            for entry in self._open(name).entries
            for moment in _changes(entry, at)
        ]
        return min(moments, default=None)

    def _match(self, price_id: str, name: str) -> tuple[Entry, bool] | None:
        if price_id not in self._shelves:
            return None
        own = self._index(price_id)
        entry = own.find(name)
        if entry is not None:
            return entry, False
        for provider in own.shelf.fallbacks:
            if provider in self._shelves and (entry := self._index(provider).find(name)) is not None:
                return entry, True
        return None

    def _open(self, provider: str) -> Shelf:
        return self._index(provider).shelf

    def _index(self, provider: str) -> _Index:
        index = self._opened.get(provider)
        if index is None:
            shelf = self._shelves[provider]
            index = self._opened[provider] = _Index(shelf if isinstance(shelf, Shelf) else _shelf.decode(shelf))
        return index


def _in_force(entry: Entry, at: int) -> ModelPrice | None:
    period = entry.periods[0]
    for later in entry.periods[1:]:
        if later.since_ms <= at:
            period = later
    hours = period.hours[0]
    for later in period.hours[1:]:
        if later.start_ms <= at % _DAY_MS:
            hours = later
    return hours.price


def _changes(entry: Entry, at: int) -> list[int]:
    moments = [period.since_ms for period in entry.periods if period.since_ms > at]
    midnight = at - at % _DAY_MS
    for period in entry.periods:
        if len(period.hours) > 1:
            times = [midnight + day + hours.start_ms for hours in period.hours for day in (0, _DAY_MS)]
            moments.extend(moment for moment in times if moment > at)
    return moments


def _dashed(match: re.Match[str]) -> str:
    year, month, day = (int(group) for group in match.groups())
    try:
        date(year, month, day)
    except ValueError:
        return match.group(0)
    return f"-{year:04d}-{month:02d}-{day:02d}"
