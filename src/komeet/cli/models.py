"""`komeet models`."""

import sys
from collections.abc import Sequence
from typing import Annotated, Final, get_args

import msgspec
import typer
from msgspec import Struct

from komeet.catalog.capabilities import FEATURES, ModelType
from komeet.catalog.lifecycle import Lifespan
from komeet.catalog.price import ModelPrice, Rates
from komeet.cli.options import AsJson, ConfigFile, DataDir, new_program
from komeet.cli.output import console, fail, print_json
from komeet.cli.setup import models_of, read
from komeet.cli.table import Column, table
from komeet.core.clock import SystemClock
from komeet.core.money import Nano, dollars, parse_dollars
from komeet.routing.listed import Listed
from komeet.telemetry.logs import configure

_COLUMNS = (
    Column("model", least=28),
    Column("provider", rank=1),
    Column("context", number=True, rank=2),
    Column("in $/M", number=True),
    Column("cached $/M", number=True, rank=3),
    Column("out $/M", number=True),
    Column("ends"),
    Column("replaced by", least=16, rank=1),
)
_TYPES: Final[tuple[str, ...]] = get_args(ModelType)

program = new_program()


class _Wanted(Struct, frozen=True, kw_only=True):
    """What the models must be like that are shown."""

    text: str
    provider: str | None
    type: str | None
    features: tuple[str, ...]
    most: Nano | None
    """Dollars per million tokens, of input and of output."""
    window: int | None
    ending: bool

    def has(self, listed: Listed, now: int) -> bool:
        """Whether a model is like that; what is not known of it is not."""
        return (
            self.text.lower() in listed.id.lower()
            and self.provider in {None, listed.provider}
            and self.type in {None, listed.type}
            and set(self.features) <= set(listed.features)
            and (self.most is None or _is_within(listed.price, self.most))
            and (self.window is None or (listed.window or 0) >= self.window)
            and (not self.ending or listed.ending(at=now) is not None)
        )


@program.command()
def models(
    search: Annotated[
        str, typer.Argument(metavar="TEXT", help="Only models whose name has this in it.", show_default=False)
    ] = "",
    provider: Annotated[str | None, typer.Option(metavar="NAME", help="Only those of one provider.")] = None,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="NAME", help=f"Only those of a kind: {', '.join(_TYPES)}.")
    ] = None,
    feature: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Only those that can do this (all, if several): {', '.join(FEATURES)}."),
    ] = None,
    max_price: Annotated[
        str | None,
        typer.Option(metavar="DOLLARS", help="Only those whose input and output cost at most this per million tokens."),
    ] = None,
    context: Annotated[
        int | None, typer.Option(metavar="TOKENS", min=1, help="Only those that read at least this much.")
    ] = None,
    deprecated: Annotated[
        bool, typer.Option("--deprecated", help="Only those whose end is announced, or that are shut down.")
    ] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the models that would answer, and their prices.

    Prices are dollars per million tokens; `+`: more for long inputs, `?`: not known.
    """
    configure("error", "text")
    setup = read(config, data_dir)
    names = [one.name for one in setup.found.providers]
    if provider is not None and provider not in names:
        fail(f"{provider} is not configured; the providers are {', '.join(names) or 'none'}")
    wanted = _Wanted(
        text=search,
        provider=provider,
        type=None if kind is None else _one_of(kind, _TYPES, "--type"),
        features=tuple(_one_of(name, FEATURES, "--feature") for name in feature or ()),
        most=None if max_price is None else _dollars(max_price),
        window=context,
        ending=deprecated,
    )
    known, now = models_of(setup), SystemClock().unix_ms()
    lines = [*known.listing(), *(known.retired() if deprecated else ())]
    listed = list({model.id: model for model in lines if wanted.has(model, now)}.values())
    if as_json:
        print_json([_row(model, now) for model in listed])
        return
    _print(listed, wanted, now)
    if listed and wanted == _EVERYTHING and sys.stdout.isatty():
        unlisted = [name for name in names if not any(name == model.provider for model in listed)]
        if unlisted:
            console().print(
                f"[dim]Asked by `NAME/MODEL`, since their models are not known here: {', '.join(unlisted)}[/dim]"
            )


_EVERYTHING = _Wanted(text="", provider=None, type=None, features=(), most=None, window=None, ending=False)


def _print(listed: Sequence[Listed], wanted: _Wanted, now: int) -> None:
    rows = [
        (
            model.id,
            model.provider,
            _tokens(model.window),
            *_prices(model.price),
            *_end(model.ending(at=now), shown=wanted.ending),
        )
        for model in listed
    ]
    narrowed = msgspec.structs.replace(wanted, text="") != _EVERYTHING
    nothing = f"No model has `{wanted.text}` in its name" if wanted.text else "No model is known"
    table(
        _COLUMNS,
        rows,
        empty=f"{nothing}{' that is like that' if narrowed else ''}. `komeet doctor` says which providers there are.",
    )


def _one_of(name: str, names: Sequence[str], option: str) -> str:
    if name not in names:
        fail(f"{option}: there is no `{name}`; there are {', '.join(names)}")
    return name


def _dollars(text: str) -> Nano:
    try:
        return parse_dollars(text)
    except ValueError as error:
        fail(f"--max-price: {error}")


def _is_within(price: ModelPrice | None, most: Nano) -> bool:
    return price is not None and max(price.steps[0].rates.input, price.steps[0].rates.output) <= most


def _end(span: Lifespan | None, *, shown: bool) -> tuple[str, str]:
    if not shown or span is None:
        return "", ""
    return str(span.shutdown or "?"), span.successor or "–"


def _tokens(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"


def _prices(price: ModelPrice | None) -> tuple[str, str, str]:
    if price is None:
        return "?", "?", "?"
    rates = price.steps[0].rates
    more = "+" if len(price.steps) > 1 else ""
    cached = "–" if rates.cache_read is None else dollars(rates.cache_read) + more
    return dollars(rates.input) + more, cached, dollars(rates.output) + more


def _row(model: Listed, now: int) -> dict[str, object]:
    price, span = model.price, model.ending(at=now)
    return {
        "id": model.id,
        "provider": model.provider,
        "model": model.model,
        "type": model.type,
        "features": model.features,
        "efforts": model.efforts,
        "context_window": model.window,
        "output_limit": model.output_limit,
        "dollars_per_million": None if price is None else _rates(price.steps[0].rates),
        "dearer": [] if price is None else [{"above": step.above} | _rates(step.rates) for step in price.steps[1:]],
        "deprecated_at": None if span is None or span.deprecated is None else span.deprecated.isoformat(),
        "shutdown_at": None if span is None or span.shutdown is None else span.shutdown.isoformat(),
        "successor": None if span is None else span.successor,
        "page": None if span is None else span.page,
    }


def _rates(rates: Rates) -> dict[str, object]:
    return {
        "input": dollars(rates.input),
        "cache_read": None if rates.cache_read is None else dollars(rates.cache_read),
        "output": dollars(rates.output),
    }
