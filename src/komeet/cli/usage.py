"""`komeet usage`."""

from typing import Annotated

import typer

from komeet.cli.duration import since as start_of
from komeet.cli.options import AsJson, ConfigFile, DataDir
from komeet.cli.output import fail, money, print_json, table
from komeet.cli.setup import data_files
from komeet.core.clock import SystemClock
from komeet.core.money import dollars
from komeet.store.errors import StoreError
from komeet.store.usage import By, UsageReport, UsageRow, report_usage

_NUMBERS = ("calls", "input", "cached", "output", "reasoning", "cost", "held")


program = typer.Typer(add_completion=False)


@program.command()
def usage(
    by: Annotated[By, typer.Option(help="What a row stands for.")] = "model",
    since: Annotated[str | None, typer.Option(help="Only from then on: 24h, 30d, 2027-01-31 (UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Only before then.")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say what was used and what it cost, from the ledger that budgets are checked against."""
    now = SystemClock().unix_ms()
    try:
        first = None if since is None else start_of(since, now)
        last = None if until is None else start_of(until, now)
    except ValueError as error:
        fail(str(error))
    try:
        with data_files(config, data_dir) as files:
            report = report_usage(files.ledger, by, first, last)
    except StoreError as error:
        fail(str(error))
    if as_json:
        print_json([_json(by, row) for row in report.rows])
        return
    _print(report)


def _print(report: UsageReport) -> None:
    rows = [_cells(row) for row in report.rows]
    if len(rows) > 1:
        rows.append(_cells(report.total))
    table((report.by, *_NUMBERS, "notes"), rows, right=_NUMBERS, empty="Nothing has been used yet.")


def _cells(row: UsageRow) -> tuple[str, ...]:
    notes = {
        "estimated": row.estimated,
        "unpriced": row.unpriced,
        "orphans": row.orphans,
        "void": row.voided,
    }
    return (
        row.name or "(none)",
        f"{row.calls:,}",
        f"{row.usage.input:,}",
        f"{row.usage.cache_read:,}",
        f"{row.usage.output:,}",
        f"{row.usage.reasoning:,}",
        money(row.cost),
        money(row.held),
        ", ".join(f"{count:,} {name}" for name, count in notes.items() if count),
    )


def _json(by: str, row: UsageRow) -> dict[str, object]:
    more: dict[str, object] = {"key_id": row.key_id} if by == "key" else {}
    return {
        by: row.name,
        **more,
        "calls": row.calls,
        "voided": row.voided,
        "estimated": row.estimated,
        "unpriced": row.unpriced,
        "orphans": row.orphans,
        "input": row.usage.input,
        "cache_read": row.usage.cache_read,
        "cache_write": row.usage.cache_write,
        "output": row.usage.output,
        "reasoning": row.usage.reasoning,
        "cost": dollars(row.cost),
        "cost_nano": row.cost,
        "overrun": dollars(row.overrun),
        "held": dollars(row.held),
        "held_nano": row.held,
    }
