"""`komeet usage`."""

from typing import Annotated

import typer

from komeet.cli.duration import since as start_of
from komeet.cli.options import AsJson, ConfigFile, DataDir, new_program
from komeet.cli.output import fail, money, print_json
from komeet.cli.setup import existing_files
from komeet.cli.table import Column, table
from komeet.core.clock import SystemClock
from komeet.core.money import dollars
from komeet.store.errors import StoreError
from komeet.store.usage import By, UsageReport, UsageRow, report_usage

_NUMBERS = (
    Column("calls", number=True),
    Column("input", number=True),
    Column("cached", number=True, rank=3),
    Column("output", number=True),
    Column("reasoning", number=True, rank=4),
    Column("cost", number=True),
    Column("held", number=True, rank=2),
    Column("notes", rank=1),
)

program = new_program()


@program.command()
def usage(
    by: Annotated[
        By, typer.Option(metavar="WHAT", help="What a row stands for: key, model, day, tag or provider.")
    ] = "model",
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only from then on: 24h, 30d, 2027-01-31 (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Only before then.")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say what was used and what it cost.

    The numbers come from the ledger that budgets are checked against. `held` is reserved: for calls in flight, and for
    calls whose cost nobody knows (orphans).
    """
    now = SystemClock().unix_ms()
    try:
        first = None if since is None else start_of(since, now)
        last = None if until is None else start_of(until, now)
    except ValueError as error:
        fail(str(error))
    if first is not None and last is not None and first >= last:
        fail(f"--since {since} is not before --until {until}")
    try:
        with existing_files(config, data_dir) as files:
            report = None if files is None else report_usage(files.ledger, by, first, last)
    except StoreError as error:
        fail(str(error))
    if as_json:
        print_json([] if report is None else [_json(by, row) for row in report.rows])
        return
    rows = [] if report is None else _rows(report)
    nothing = "Nothing has been used yet." if first is None and last is None else "Nothing was used in that time."
    table((Column(by, least=28), *_NUMBERS), rows, empty=nothing)


def _rows(report: UsageReport) -> list[tuple[str, ...]]:
    rows = [_cells(row) for row in report.rows]
    return [*rows, _cells(report.total)] if len(rows) > 1 else rows


def _cells(row: UsageRow) -> tuple[str, ...]:
    notes = {
        "estimated": row.estimated,
        "unpriced": row.unpriced,
        "orphan" if row.orphans == 1 else "orphans": row.orphans,
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
