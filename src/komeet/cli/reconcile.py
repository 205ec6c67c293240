"""`komeet reconcile`: a provider's report against the ledger."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from sqlalchemy import Engine

from komeet.cli.options import AsJson, ConfigFile, DataDir, new_program
from komeet.cli.output import console, escape, money, print_json, timestamp
from komeet.cli.setup import existing_files
from komeet.cli.table import Column, table
from komeet.core.money import dollars, parse_dollars
from komeet.ledger.reconcile import Comparison, Kept, Numbers, Tolerance, reconcile
from komeet.ledger.statement import Statement, StatementError, read_json
from komeet.ledger.statement_csv import parse_map, read_csv
from komeet.providers import registry
from komeet.store.errors import StoreError
from komeet.store.reconcile import kept_between, providers_between

_COLUMNS = (
    Column("from (UTC)", least=16),
    Column("model", least=20),
    Column("provider", number=True),
    Column("ledger", number=True),
    Column("difference", number=True),
    Column("why", least=24),
)
_WRONG, _VARIANCE = 2, 1

program = new_program()


@program.command()
def compare(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The report: JSON or CSV; docs/ledger.md says which.")],
    provider: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The provider's name in the ledger; default: what the format says."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--map", metavar="NAME=COLUMN,…", help="The columns of another CSV file: date=Day,model=Model,cost=USD."
        ),
    ] = None,
    tolerance: Annotated[str, typer.Option(metavar="PERCENT", help="What is no variance yet, of each number.")] = "0.5",
    least: Annotated[str, typer.Option("--least", metavar="DOLLARS", help="The same of amounts.")] = "0.01",
    everything: Annotated[bool, typer.Option("--all", help="Show what agrees, too.")] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare a provider's report or invoice with the ledger.

    What differs is explained.

    By day (or hour) and model. Ends with status 0 where all is within the tolerance, 1 where something is not, and 2
    where the file cannot be used: so a schedule can run it.
    """
    try:
        statement = _read(file, columns)
        allowed = _tolerance(tolerance, least)
    except (StatementError, ValueError) as error:
        _fail(f"{file}: {error}" if isinstance(error, StatementError) else str(error))
    wanted = provider or registry.biller(statement.format)
    if not wanted:
        _fail(f"{file} does not say whose it is: --provider names the provider as the ledger has it")
    try:
        with existing_files(config, data_dir) as files:
            kept: Sequence[Kept] = () if files is None else _kept(files.ledger, statement, wanted)
    except StoreError as error:
        _fail(str(error))
    found = reconcile(statement, kept, allowed)
    differing = [one for one in found if not one.within]
    if as_json:
        print_json([_json(one) for one in (found if everything else differing)])
    else:
        _print(statement, wanted, found if everything else differing, found)
    if differing:
        raise typer.Exit(_VARIANCE)


def _fail(message: str) -> NoReturn:
    console(stderr=True).print(f"[red]komeet:[/red] {escape(message)}")
    raise typer.Exit(_WRONG)


def _read(file: Path, columns: str | None) -> Statement:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise StatementError(f"it cannot be read: {error.strerror or error}") from None
    names = None if columns is None else parse_map(columns)
    if names is None and data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}:
        statement = read_json(data.removeprefix(b"\xef\xbb\xbf"))
    else:
        try:
            statement = read_csv(data.decode(), names)
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise StatementError(f"line {line}: it is not UTF-8; save it as such") from None
    if not statement.spans:
        raise StatementError("there is nothing in it")
    return statement


def _tolerance(percent: str, least: str) -> Tolerance:
    try:
        ppm = Decimal(percent.strip().removesuffix("%")) * 10_000
    except InvalidOperation:
        raise ValueError(f"--tolerance {percent!r} is not a number of percents, such as 0.5") from None
    if not 0 <= ppm <= 1_000_000:
        raise ValueError(f"--tolerance {percent!r} is not between 0 and 100 percent")
    return Tolerance(ppm=int(ppm), nano=parse_dollars(least))


def _kept(ledger: Engine, statement: Statement, provider: str) -> Sequence[Kept]:
    since, until = min(start for start, _ in statement.spans), max(end for _, end in statement.spans)
    kept = kept_between(ledger, provider, since, until)
    if not kept:
        others = [name for name in providers_between(ledger, since, until) if name != provider]
        if others:
            console(stderr=True).print(
                escape(
                    f"The ledger has no calls of {provider} in that time, but of {', '.join(others)}; see --provider."
                )
            )
    return kept


def _print(statement: Statement, provider: str, shown: Sequence[Comparison], found: Sequence[Comparison]) -> None:
    has_cost = any(one.billed.cost is not None for one in found)
    table(_COLUMNS, [_cells(one, has_cost=has_cost) for one in shown], empty="Everything agrees.")
    theirs, ours = (sum(_shown(numbers, has_cost=has_cost) for numbers in side) for side in _sides(found))
    unit = money if has_cost else "{:,} tokens".format
    count = sum(not one.within for one in found)
    console().print(
        escape(
            f"{provider} {statement.kind}: {unit(theirs)}; the ledger: {unit(ours)}; {count} of {len(found)} differ."
        )
    )


def _sides(found: Sequence[Comparison]) -> tuple[list[Numbers], list[Numbers]]:
    return [one.billed for one in found], [one.kept for one in found]


def _shown(numbers: Numbers, *, has_cost: bool) -> int:
    return (numbers.cost or 0) if has_cost else (numbers.input or 0) + (numbers.output or 0)


def _cells(one: Comparison, *, has_cost: bool) -> tuple[str, ...]:
    theirs, ours = _shown(one.billed, has_cost=has_cost), _shown(one.kept, has_cost=has_cost)
    unit = money if has_cost else "{:,}".format
    start = timestamp(one.start) or ""
    return (
        start[:10] if start.endswith("T00:00:00Z") else start[:16].replace("T", " "),
        one.model or "(all)",
        unit(theirs),
        unit(ours),
        unit(theirs - ours),
        "; ".join(one.reasons) or ", ".join(one.differing),
    )


def _json(one: Comparison) -> dict[str, object]:
    return {
        "from": timestamp(one.start),
        "until": timestamp(one.end),
        "model": one.model,
        "provider": _numbers(one.billed),
        "ledger": _numbers(one.kept),
        "variance": dollars(one.variance),
        "differing": one.differing,
        "reasons": one.reasons,
        "orphans": one.orphans,
        "estimated": one.estimated,
        "unpriced": one.unpriced,
    }


def _numbers(numbers: Numbers) -> dict[str, object]:
    return {
        name: dollars(value) if name == "cost" else value
        for name in Numbers.__struct_fields__
        if (value := getattr(numbers, name)) is not None
    }
