"""What commands print: text for people, JSON for programs, and errors without tracebacks."""

import sys
import textwrap
from datetime import UTC, datetime
from typing import NoReturn

import msgspec
import typer
from rich.console import Console

from komeet.core.money import dollars


def console(*, stderr: bool = False) -> Console:
    """Return the terminal; plain text where it is not one."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def fail(message: str) -> NoReturn:
    """Say what is wrong, on standard error, and end with status 1."""
    console(stderr=True).print(f"[red]komeet:[/red] {escape(message)}")
    raise typer.Exit(1)


def warn(message: str) -> None:
    """Say on standard error what is not as it could be; the command goes on."""
    console(stderr=True).print(f"[yellow]komeet:[/yellow] {escape(message)}")


def printable(text: str, keep: str = "\n") -> str:
    """Keep text from driving the terminal: what cannot be printed becomes �, but for what `keep` holds."""
    return "".join(sign if sign.isprintable() or sign in keep else "�" for sign in text)


def escape(text: str) -> str:
    """Keep text from being read as markup or as terminal control."""
    return printable(text).replace("[", "\\[")


def wrap(text: str, terminal: Console, indent: int = 0) -> list[str]:
    """Cut prose into lines that fit behind an indent; one line where the output does not go to a terminal."""
    width = max(terminal.width - indent, 20) if terminal.is_terminal else sys.maxsize
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def print_json(value: object) -> None:
    """Print indented JSON."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n")
    sys.stdout.flush()


def money(amount: int) -> str:
    """Dollars to the last digit."""
    return "$" + dollars(amount)


def when(unix_ms: int) -> str:
    """A moment in UTC, to the minute."""
    return _moment(unix_ms).strftime("%Y-%m-%d %H:%M")


def day(unix_ms: int) -> str:
    """A day in UTC."""
    return _moment(unix_ms).strftime("%Y-%m-%d")


def timestamp(unix_ms: int | None) -> str | None:
    """A moment for programs: RFC 3339, UTC, to the second."""
    return None if unix_ms is None else _moment(unix_ms).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
