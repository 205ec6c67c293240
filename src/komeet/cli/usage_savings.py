"""`komeet usage savings`."""

from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from komeet.cli.duration import between
from komeet.cli.options import AsJson, ConfigFile, DataDir
from komeet.cli.output import fail, money, print_json
from komeet.cli.setup import existing_files
from komeet.cli.table import Column, table
from komeet.core.clock import SystemClock
from komeet.core.money import dollars
from komeet.store.errors import StoreError
from komeet.store.savings import SavedBy, Savings, savings

_COLUMNS: Final = (
    Column("calls", number=True),
    Column("input", number=True),
    Column("from a prompt cache", number=True),
    Column("%", number=True),
    Column("saved", number=True),
    Column("answered from the cache", number=True, rank=1),
    Column("saved by that", number=True, rank=1),
)


def show_savings(
    by: Annotated[
        SavedBy, typer.Option(metavar="WHAT", help="What a row stands for: model, provider, key or day (UTC).")
    ] = "model",
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only from then on: 24h, 30d, 2027-01-31 (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Only before then.")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say what prompt caches and the response cache saved.

    Of each call at the prices that it was billed at, from the request log, as far back as that is kept. What a prompt
    cache saves is below zero where writing to it cost more than reading from it saved.
    """
    try:
        first, last = between(since, until, SystemClock().unix_ms())
    except ValueError as error:
        fail(str(error))
    try:
        with existing_files(config, data_dir) as files:
            rows = [] if files is None else savings(files.requests, by, first, last)
    except StoreError as error:
        fail(str(error))
    if as_json:
        print_json([_json(by, row) for row in rows])
        return
    table((Column(by, least=28), *_COLUMNS), [_cells(by, row) for row in rows], empty="No calls were answered.")


def _cells(by: SavedBy, row: Savings) -> tuple[str, ...]:
    return (
        _name(by, row),
        f"{row.calls:,}",
        f"{row.input:,}",
        f"{row.cache_read:,}",
        f"{100 * row.cache_read // row.input}" if row.input else "",
        money(row.prompt_saved),
        f"{row.hits:,}",
        money(row.saved),
    )


def _json(by: SavedBy, row: Savings) -> dict[str, object]:
    return {
        by: _name(by, row),
        "calls": row.calls,
        "input": row.input,
        "cache_read": row.cache_read,
        "prompt_saved": dollars(row.prompt_saved),
        "prompt_saved_nano": row.prompt_saved,
        "cache_hits": row.hits,
        "cache_saved": dollars(row.saved),
        "cache_saved_nano": row.saved,
    }


def _name(by: SavedBy, row: Savings) -> str:
    return datetime.fromtimestamp(int(row.name) // 1000, UTC).date().isoformat() if by == "day" else row.name
