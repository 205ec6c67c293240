"""`komeet models`."""

from typing import Annotated

import typer

from komeet.catalog.price import ModelPrice
from komeet.cli.options import AsJson, ConfigFile, DataDir
from komeet.cli.output import print_json, table
from komeet.cli.setup import read
from komeet.core.money import dollars
from komeet.routing.directory import Listed

program = typer.Typer(add_completion=False)


@program.command()
def models(
    search: Annotated[str, typer.Argument(help="Only models whose name has this in it.", show_default=False)] = "",
    provider: Annotated[str | None, typer.Option(help="Only those of one provider.")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the models that would answer, with what a million tokens cost."""
    setup = read(config, data_dir)
    from komeet.app import directory  # noqa: PLC0415 - most commands need none of it

    listed = [
        model
        for model in directory(setup.data_dir, setup.found.providers).listing()
        if search.lower() in model.id.lower() and provider in {None, model.provider}
    ]
    if as_json:
        print_json([_row(model) for model in listed])
        return
    table(
        ("model", "provider", "context", "in $/M", "cached $/M", "out $/M"),
        [
            (
                model.id,
                model.provider,
                _tokens(model.context_window),
                *_prices(model.price),
            )
            for model in listed
        ],
        right=("context", "in $/M", "cached $/M", "out $/M"),
        empty="No model; `komeet doctor` says what is missing.",
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
    rates = None if model.price is None else model.price.steps[0].rates
    return {
        "id": model.id,
        "provider": model.provider,
        "model": model.model,
        "context_window": model.context_window,
        "dollars_per_million": None
        if rates is None
        else {
            "input": dollars(rates.input),
            "cache_read": None if rates.cache_read is None else dollars(rates.cache_read),
            "output": dollars(rates.output),
        },
    }
