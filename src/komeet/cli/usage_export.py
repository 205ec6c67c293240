"""`komeet usage export`: the ledger for spreadsheets and for what reads FOCUS."""

import csv
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Annotated, Final, Literal

import msgspec
import typer

from komeet.cli.duration import between
from komeet.cli.options import ConfigFile, DataDir
from komeet.cli.output import fail
from komeet.cli.setup import existing_files
from komeet.core.clock import SystemClock
from komeet.ledger.export import Hour, Line, csv_cell, focus, plain
from komeet.store.errors import StoreError
from komeet.store.export import export_attempts, export_hours

Format = Literal["csv", "json", "jsonl"]
_HOUR_MS: Final = 3_600_000
_LINES: Final = 500
"""Lines that are written together."""


def export(
    how: Annotated[Format, typer.Option("--format", metavar="FORMAT", help="csv, json or jsonl.")] = "csv",
    in_focus: Annotated[
        bool, typer.Option("--focus", help="The columns of FOCUS 1.2 (FinOps Open Cost and Usage Specification).")
    ] = False,
    each: Annotated[
        Literal["hour", "attempt"],
        typer.Option(metavar="WHAT", help="A line for each hour, key, model and tags; or for each attempt and entry."),
    ] = "hour",
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only from then on: 24h, 30d, 2027-01-31 (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Only before then.")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Write what was used, line by line in one order, to standard output.

    Amounts are exact decimals of dollars. Lines of hours begin and end on the hour: --since and --until are moved to
    it, outwards. In CSV, texts that a spreadsheet would take for formulas have an apostrophe before them.
    """
    if in_focus and each == "attempt":
        fail("--focus has a line for each hour; leave out --each attempt")
    try:
        first, last = between(since, until, SystemClock().unix_ms())
    except ValueError as error:
        fail(str(error))
    if each == "hour":
        first = None if first is None else first // _HOUR_MS * _HOUR_MS
        last = None if last is None else -(-last // _HOUR_MS) * _HOUR_MS
    shape: Callable[[Hour], Line] = focus if in_focus else plain
    names = tuple(shape(_NOTHING)) if each == "hour" else ()
    try:
        with existing_files(config, data_dir) as files:
            lines: Iterable[Line] = ()
            if files is not None and each == "hour":
                lines = map(shape, export_hours(files.ledger, first, last))
            elif files is not None:
                lines = export_attempts(files.ledger, first, last)
            with suppress(BrokenPipeError):
                _write(encode(lines, how, names, numbers=in_focus))
    except StoreError as error:
        fail(str(error))


_NOTHING: Final = Hour(hour=0, key_id="", key="", provider="", model="")


def encode(
    lines: Iterable[Line], how: Format, names: tuple[str, ...] = (), *, numbers: bool = False
) -> Iterator[bytes]:
    """Return the bytes of a file with these lines, piece by piece.

    Args:
        lines: all of the same names, in the same order.
        how: the format.
        names: of the columns, for a CSV file without lines.
        numbers: whether amounts are JSON numbers, or else strings, which no reader rounds.
    """
    encoder = msgspec.json.Encoder(decimal_format="number" if numbers else "string")
    match how:
        case "jsonl":
            for line in lines:
                yield encoder.encode(line) + b"\n"
        case "json":
            before = b"[\n"
            for line in lines:
                yield before + encoder.encode(line)
                before = b",\n"
            yield b"[]\n" if before == b"[\n" else b"\n]\n"
        case "csv":
            yield from _csv(lines, names)


def _csv(lines: Iterable[Line], names: tuple[str, ...]) -> Iterator[bytes]:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    heading = False
    if names:
        writer.writerow(names)
        heading = True
    for line in lines:
        if not heading:
            writer.writerow(line)
            heading = True
        writer.writerow([csv_cell(cell) for cell in line.values()])
        yield _taken(text)
    yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    piece = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return piece


def _write(pieces: Iterable[bytes]) -> None:
    gathered: list[bytes] = []
    for piece in pieces:
        gathered.append(piece)
        if len(gathered) == _LINES:
            sys.stdout.buffer.write(b"".join(gathered))
            gathered.clear()
    sys.stdout.buffer.write(b"".join(gathered))
    sys.stdout.flush()
