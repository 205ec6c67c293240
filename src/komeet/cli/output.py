"""What commands print: tables for people, JSON for programs, and errors without tracebacks."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from komeet.core.money import dollars


def console() -> Console:
    """Return the terminal; plain text where it is not one."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def fail(message: str) -> NoReturn:
    """Say what is wrong, on standard error, and end with status 1."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]komeet:[/red] {escape(message)}")
    raise typer.Exit(1)


def escape(text: str) -> str:
    """Keep text from being read as markup or as terminal control."""
    clean = "".join(sign if sign.isprintable() or sign == "\n" else "�" for sign in text)
    return clean.replace("[", "\\[")


def print_json(value: object) -> None:
    """Print indented JSON."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n")
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = (), empty: str) -> None:
    """Print a table; columns named in `right` are aligned as numbers; `empty` is said where there are no rows."""
    terminal = console()
    if not rows:
        terminal.print(empty)
        return
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        shown.add_column(
            column, justify="right" if column in right else "left", overflow="fold", no_wrap=column in right
        )
    for row in rows:
        shown.add_row(*(escape(cell) for cell in row))
    terminal.print(shown)


def money(amount: int) -> str:
    """Dollars to the last digit."""
    return "$" + dollars(amount)


def when(unix_ms: int | None) -> str:
    """A moment in UTC, to the minute; `–` for none."""
    return "–" if unix_ms is None else datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
