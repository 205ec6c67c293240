"""`komeet usage`."""

from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from komeet.cli.duration import between
from komeet.cli.options import AsJson, ConfigFile, DataDir, new_program
from komeet.cli.output import fail, money, print_json
from komeet.cli.setup import existing_files
from komeet.cli.table import Column, table
from komeet.cli.usage_export import export
from komeet.cli.usage_savings import show_savings
from komeet.core.clock import SystemClock
from komeet.core.money import dollars
from komeet.store.errors import StoreError
from komeet.store.usage import By, UsageReport, UsageRow, report_usage

_TOKENS = (
    Column("calls", number=True),
    Column("input", number=True),
    Column("cached", number=True, rank=3),
    Column("output", number=True),
    Column("reasoning", number=True, rank=4),
)
_REST = (Column("held", number=True, rank=2), Column("notes", rank=1))
_NAMED = ("key", "user", "project", "organisation")

program = new_program()
program.command()(export)
program.command(name="savings")(show_savings)


@program.callback(invoke_without_command=True)
def usage(
    context: typer.Context,
    by: Annotated[
        By,
        typer.Option(
            metavar="WHAT",
            help="What a row stands for: model, provider, key, user, project, organisation, tag, hour, day or month.",
        ),
    ] = "model",
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only from then on: 24h, 30d, 2027-01-31 (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Only before then.")] = None,
    zone: Annotated[
        str, typer.Option(metavar="ZONE", help="Time zone of days, months and hours: Europe/Amsterdam.")
    ] = "UTC",
    margin: Annotated[
        bool, typer.Option("--margin", help="Show what was charged beyond what providers bill, and how much of it.")
    ] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say what was used and what it cost.

    The numbers come from the ledger that budgets are checked against. `charge` is what customers pay, where that is not
    the cost. `held` is reserved: for calls in flight, and for calls whose cost nobody knows (orphans).
    """
    if context.invoked_subcommand is not None:
        return
    try:
        first, last = between(since, until, SystemClock().unix_ms())
    except ValueError as error:
        fail(str(error))
    _check(zone)
    try:
        with existing_files(config, data_dir) as files:
            report = None if files is None else report_usage(files.ledger, by, first, last, zone)
    except StoreError as error:
        fail(str(error))
    if as_json:
        print_json([] if report is None else [_json(by, row) for row in report.rows])
        return
    nothing = "Nothing has been used yet." if first is None and last is None else "Nothing was used in that time."
    sold = margin or (report is not None and report.total.charge != report.total.cost)
    columns = (
        Column(by, least=28),
        *_TOKENS,
        Column("cost", number=True),
        *((Column("charge", number=True),) if sold else ()),
        *((Column("margin", number=True), Column("%", number=True, rank=2)) if margin else ()),
        *_REST,
    )
    rows = [] if report is None else _rows(report, sold=sold, margin=margin)
    table(columns, rows, empty=nothing)


def _check(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        fail(f"--zone {zone!r}: there is no such time zone; write one as Europe/Amsterdam")


def _rows(report: UsageReport, *, sold: bool, margin: bool) -> list[tuple[str, ...]]:
    rows = [*report.rows, report.total] if len(report.rows) > 1 else report.rows
    return [_cells(row, sold=sold, margin=margin) for row in rows]


def _cells(row: UsageRow, *, sold: bool, margin: bool) -> tuple[str, ...]:
    notes = {
        "estimated": row.estimated,
        "unpriced": row.unpriced,
        "orphan" if row.orphans == 1 else "orphans": row.orphans,
        "void": row.voided,
    }
    free = (f"{money(row.free)} free",) if row.free else ()
    return (
        row.name or "(none)",
        f"{row.calls:,}",
        f"{row.usage.input:,}",
        f"{row.usage.cache_read:,}",
        f"{row.usage.output:,}",
        f"{row.usage.reasoning:,}",
        money(row.cost),
        *((money(row.charge),) if sold else ()),
        *((money(row.margin), _percent(row)) if margin else ()),
        money(row.held),
        ", ".join([*free, *(f"{count:,} {name}" for name, count in notes.items() if count)]),
    )


def _percent(row: UsageRow) -> str:
    """The margin in percent of what was charged, to a tenth."""
    if not row.charge:
        return ""
    tenths = (2_000 * row.margin + row.charge) // (2 * row.charge)
    sign, whole = "-" if tenths < 0 else "", abs(tenths)
    return f"{sign}{whole // 10}.{whole % 10}"


def _json(by: str, row: UsageRow) -> dict[str, object]:
    more: dict[str, object] = {f"{by}_id": row.id} if by in _NAMED else {}
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
        "charge": dollars(row.charge),
        "charge_nano": row.charge,
        "free": dollars(row.free),
        "margin": dollars(row.margin),
        "overrun": dollars(row.overrun),
        "held": dollars(row.held),
        "held_nano": row.held,
    }
