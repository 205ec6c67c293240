"""Tables that fit the terminal: what matters least is left out, texts go on below, numbers stay whole."""

import re
import sys
from collections.abc import Sequence

from msgspec import Struct
from rich.cells import cell_len, chop_cells

from komeet.cli.output import console, escape, printable

_GAP = "  "
_NARROWEST = 6


class Column(Struct, frozen=True):
    """A column: its heading, and what happens to it where the terminal is narrow."""

    name: str
    number: bool = False
    """Numbers stand in line by their decimal points and are never cut."""
    rank: int = 0
    """What is left out first: the highest. 0: never."""
    least: int = 12
    """Cells to which a text may be narrowed before whole columns are left out."""


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Print a table; `empty` is said where there are no rows. Columns without any text are left out.

    On a terminal it is fitted to the width, and a last line says what was left out for it. Where the output goes
    elsewhere, every row is one line.
    """
    terminal = console()
    if not rows:
        terminal.print(escape(empty))
        return
    width = terminal.width if sys.stdout.isatty() else sys.maxsize
    filled = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    cells = [_in_line([printable(row[index], "") for row in rows], columns[index]) for index in filled]
    kept = _fitting([columns[index] for index in filled], cells, width)
    shown = [columns[filled[place]] for place in kept]
    widths = _widths(shown, [cells[place] for place in kept], width)
    terminal.print(f"[bold]{escape(_line([column.name for column in shown], shown, widths))}[/bold]")
    for number in range(len(rows)):
        pieces = [_pieces(cells[place][number], size) for place, size in zip(kept, widths, strict=True)]
        for line in range(max(map(len, pieces))):
            texts = [piece[line] if line < len(piece) else "" for piece in pieces]
            terminal.print(escape(_line(texts, shown, widths)))
    left_out = [columns[filled[place]].name for place in range(len(filled)) if place not in kept]
    if left_out:
        terminal.print(f"[dim]No room for: {', '.join(left_out)}. --json has everything.[/dim]")


def _in_line(texts: list[str], column: Column) -> list[str]:
    """Pad numbers on the right, so that their decimal points stand in line."""
    if not column.number:
        return texts
    behind = [len(text) - len(re.split(r"[.+]", text, maxsplit=1)[0]) for text in texts]
    most = max(behind)
    return [text + " " * (most - size) for text, size in zip(texts, behind, strict=True)]


def _fitting(columns: Sequence[Column], cells: Sequence[list[str]], width: int) -> list[int]:
    """Return the places of the columns that there is room for, with texts narrowed as far as they may be."""
    kept = list(range(len(columns)))

    def needed() -> int:
        least = [_least(columns[place], cells[place]) for place in kept]
        return sum(least) + len(_GAP) * (len(kept) - 1)

    while needed() > width and any(columns[place].rank for place in kept):
        kept.remove(max(kept, key=lambda place: columns[place].rank))
    return kept


def _least(column: Column, cells: list[str]) -> int:
    natural = _natural(column, cells)
    return natural if column.number else min(natural, max(column.least, cell_len(column.name)))


def _natural(column: Column, cells: list[str]) -> int:
    return max(cell_len(column.name), *map(cell_len, cells))


def _widths(columns: Sequence[Column], cells: Sequence[list[str]], width: int) -> list[int]:
    """Narrow the widest text, cell by cell, until the line fits or nothing is left to narrow."""
    widths = [_natural(column, texts) for column, texts in zip(columns, cells, strict=True)]
    floors = [_least(column, texts) for column, texts in zip(columns, cells, strict=True)]
    for floor in (floors, [min(_NARROWEST, least) for least in floors]):
        for _ in range(max(0, sum(widths) + len(_GAP) * (len(widths) - 1) - width)):
            places = [
                place for place, column in enumerate(columns) if not column.number and widths[place] > floor[place]
            ]
            if not places:
                break
            widths[max(places, key=lambda place: widths[place])] -= 1
    return widths


def _pieces(text: str, width: int) -> list[str]:
    """Cut a text into lines of at most `width` cells: behind spaces, commas and slashes where there are any."""
    if cell_len(text) <= width:
        return [text]
    lines = [""]
    for word in re.findall(r"[^\s,/]*[,/]?\s*", text):
        if cell_len(lines[-1] + word.rstrip()) <= width:
            lines[-1] += word
            continue
        first, *rest = chop_cells(word, width) or [""]
        lines += [first, *rest]
    return [line.rstrip() for line in lines if line.strip()]


def _line(texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = [
        " " * (width - cell_len(text)) + text if column.number else text + " " * (width - cell_len(text))
        for text, column, width in zip(texts, columns, widths, strict=True)
    ]
    return _GAP.join(padded).rstrip()
