"""`komeet models`."""

import sys
from typing import Annotated

import typer

from komeet.catalog.price import ModelPrice, Rates
from komeet.cli.options import AsJson, ConfigFile, DataDir, new_program
from komeet.cli.output import console, fail, print_json
from komeet.cli.setup import models_of, read
from komeet.cli.table import Column, table
from komeet.core.money import dollars
from komeet.routing.listed import Listed
from komeet.telemetry.logs import configure

_COLUMNS = (
    Column("model", least=28),
    Column("provider", rank=1),
    Column("context", number=True, rank=2),
    Column("in $/M", number=True),
    Column("cached $/M", number=True, rank=3),
    Column("out $/M", number=True),
)

program = new_program()


@program.command()
def models(
    search: Annotated[
        str, typer.Argument(metavar="TEXT", help="Only models whose name has this in it.", show_default=False)
    ] = "",
    provider: Annotated[str | None, typer.Option(metavar="NAME", help="Only those of one provider.")] = None,
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
    listed = [
        model
        for model in models_of(setup).listing()
        if search.lower() in model.id.lower() and provider in {None, model.provider}
    ]
    if as_json:
        print_json([_row(model) for model in listed])
        return
    rows = [(model.id, model.provider, _tokens(model.context_window), *_prices(model.price)) for model in listed]
    nothing = f"No model has `{search}` in its name." if search else "No model is known."
    table(_COLUMNS, rows, empty=f"{nothing} `komeet doctor` says which providers there are.")
    if rows and not search and provider is None and sys.stdout.isatty():
        unlisted = [
            one.name for one in setup.found.providers if not any(one.name == model.provider for model in listed)
        ]
        if unlisted:
            console().print(
                f"[dim]Asked by `NAME/MODEL`, since their models are not known here: {', '.join(unlisted)}[/dim]"
            )


def _tokens(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"


def _prices(price: ModelPrice | None) -> tuple[str, str, str]:
    if price is None:
        return "?", "?", "?"
    rates = price.steps[0].rates
    more = "+" if len(price.steps) > 1 else ""
    cached = "–" if rates.cache_read is None else dollars(rates.cache_read) + more
    return dollars(rates.input) + more, cached, dollars(rates.output) + more


def _row(model: Listed) -> dict[str, object]:
    price = model.price
    return {
        "id": model.id,
        "provider": model.provider,
        "model": model.model,
        "context_window": model.context_window,
        "dollars_per_million": None if price is None else _rates(price.steps[0].rates),
        "dearer": [] if price is None else [{"above": step.above} | _rates(step.rates) for step in price.steps[1:]],
    }


def _rates(rates: Rates) -> dict[str, object]:
    return {
        "input": dollars(rates.input),
        "cache_read": None if rates.cache_read is None else dollars(rates.cache_read),
        "output": dollars(rates.output),
    }
