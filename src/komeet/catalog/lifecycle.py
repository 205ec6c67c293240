"""Until when models can be called, and what replaces them: facts of their providers' pages, as data."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from typing import Final

import msgspec
from msgspec import Struct


class Lifespan(Struct, frozen=True, kw_only=True):
    """How long one model can be called at one provider."""

    model: str
    deprecated: date | None = None
    """The day on which its end was announced, where that is known."""
    shutdown: date | None = None
    """The last day on which it may answer; None: no end is known."""
    successor: str | None = None
    """The model that its provider names instead; None: it names none, or several."""
    page: str = ""
    """Where that is written."""

    @property
    def ends(self) -> int | None:
        """Unix milliseconds from which it is taken for shut down: the end of that day in UTC.

        No page says an hour, and refusing a call that would be answered is worse than asking in vain.
        """
        return None if self.shutdown is None else _midnight(self.shutdown + timedelta(days=1))

    def is_retired(self, *, at: int) -> bool:
        """Whether it is shut down at `at` (Unix milliseconds)."""
        return self.ends is not None and at >= self.ends

    def is_deprecated(self, *, at: int) -> bool:
        """Whether its end is known at `at` (Unix milliseconds)."""
        if self.deprecated is None:
            return self.shutdown is not None
        return at >= _midnight(self.deprecated)

    def words(self) -> str:
        """Say for people when it was shut down."""
        return f"was shut down on {self.shutdown}" if self.shutdown else "is deprecated"


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    provider: str
    models: tuple[str, ...]
    deprecated: date | None = None
    shutdown: date | None = None
    successor: str | None = None
    page: str


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    line: tuple[_Section, ...] = ()


class Lifecycle:
    """What is known of the ends of models: the packaged facts, and before them the operator's own. Immutable."""

    def __init__(
        self,
        packaged: Mapping[tuple[str, str], Lifespan] | None = None,
        own: Mapping[tuple[str, str], Lifespan] | None = None,
    ) -> None:
        """Take the packaged facts, by a provider's name in the registry and model, and those of the configuration, by
        its name there and model.

        Raises:
            ValueError: a model is replaced, in the end, by itself; names the way.
        """
        self._packaged: Final = dict(packaged or {})
        self._own: Final = dict(own or {})
        for spans in (self._packaged, self._own):
            for provider, model in spans:
                _follow(spans, provider, model)

    def with_own(self, own: Mapping[tuple[str, str], Lifespan]) -> "Lifecycle":
        """Return the same with facts of the operator's own, each in place of a packaged one."""
        return Lifecycle(self._packaged, own)

    def find(self, provider: str, source: str | None, model: str) -> Lifespan | None:
        """Return what is known of a model.

        Args:
            provider: its provider's name in the configuration.
            source: whose page holds for it: the name in the registry; None: nobody's.
            model: its name there.
        """
        own = self._own.get((provider, model))
        return own if own is not None or source is None else self._packaged.get((source, model))

    def successor(self, provider: str, source: str | None, model: str, *, at: int) -> str | None:
        """Return what replaces a model: the first of its successors that can be called at `at`; None: none can."""
        seen = {model}
        while (span := self.find(provider, source, model)) is not None and span.is_retired(at=at):
            if span.successor is None or span.successor in seen:
                return None
            model = span.successor
            seen.add(model)
        return model

    def models(self, provider: str, source: str | None) -> Iterator[Lifespan]:
        """Yield every model of a provider of which an end is known."""
        own = {model: span for (who, model), span in self._own.items() if who == provider}
        packaged = {model: span for (who, model), span in self._packaged.items() if who == source}
        yield from (packaged | own).values()

    def next_change(self, *, at: int) -> int | None:
        """Return when the next model is deprecated or shut down, in Unix milliseconds; None: never."""
        moments = [moment for span in self._every() for moment in _moments(span) if moment > at]
        return min(moments, default=None)

    def _every(self) -> Iterator[Lifespan]:
        yield from self._packaged.values()
        yield from self._own.values()


def load() -> Lifecycle:
    """Read the packaged `lifecycle.toml`.

    Raises:
        ValueError: the file is damaged.
    """
    return parse(files("komeet.catalog").joinpath("lifecycle.toml").read_bytes())


def parse(text: bytes) -> Lifecycle:
    """Read facts from TOML; raises ValueError with the path or the name of the first mistake."""
    try:
        lines = msgspec.toml.decode(text, type=_File).line
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    packaged: dict[tuple[str, str], Lifespan] = {}
    for who, span in _spans(lines):
        if (who, span.model) in packaged:
            raise ValueError(f"{who}/{span.model}: there are two lines for it")
        packaged[who, span.model] = span
    return Lifecycle(packaged)


def _spans(lines: Iterable[_Section]) -> Iterator[tuple[str, Lifespan]]:
    for line in lines:
        for model in line.models:
            yield (
                line.provider,
                Lifespan(
                    model=model,
                    deprecated=line.deprecated,
                    shutdown=line.shutdown,
                    successor=line.successor,
                    page=line.page,
                ),
            )


def _follow(spans: Mapping[tuple[str, str], Lifespan], provider: str, model: str) -> None:
    way = [model]
    while (span := spans.get((provider, way[-1]))) is not None and span.successor is not None:
        way.append(span.successor)
        if span.successor in way[:-1]:
            raise ValueError(f"{provider}: {' -> '.join(way)}: a model cannot replace itself")


def _moments(span: Lifespan) -> Iterator[int]:
    if span.deprecated is not None:
        yield _midnight(span.deprecated)
    if span.ends is not None:
        yield span.ends


def _midnight(day: date) -> int:
    return int(datetime.combine(day, time(0), UTC).timestamp()) * 1000
