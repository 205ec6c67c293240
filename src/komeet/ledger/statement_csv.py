"""CSV files of what was billed: OpenAI's exports as they are, and any other with the names of its columns."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from komeet.ledger.statement import (
    Billed,
    Statement,
    StatementError,
    exact,
    line_item,
    moment,
    on_the_hour,
    require_dollars,
)

COLUMNS: Final = ("date", "end", "model", "cost", "currency", "requests", "input", "cached", "cache_write", "output")
"""What a column can be mapped to; `date` is needed, and one of `cost`, `input`, `output`, `requests`."""

_COSTS: Final = {
    "date": "start_time", "end": "end_time", "model": "line_item",
    "cost": "amount_value", "currency": "amount_currency",
}  # fmt: skip
_USAGE: Final = {
    "date": "start_time", "end": "end_time", "model": "model", "requests": "num_model_requests",
    "input": "input_tokens", "cached": "input_cached_tokens", "output": "output_tokens",
}  # fmt: skip


def parse_map(text: str) -> dict[str, str]:
    """Read `date=Day,model=Model,cost=Cost (USD)`.

    Raises:
        StatementError: a name is unknown, or what is needed is missing.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, column = part.partition("=")
        if not equals or name.strip() not in COLUMNS or not column.strip():
            raise StatementError(f"--map {part!r}: write NAME=COLUMN, where NAME is one of {', '.join(COLUMNS)}")
        found[name.strip()] = column.strip()
    if "date" not in found or not found.keys() & {"cost", "input", "output", "requests"}:
        raise StatementError("--map needs date=COLUMN, and one of cost, input, output and requests")
    return found


def read_csv(text: str, names: Mapping[str, str] | None = None) -> Statement:
    """Read a CSV file; fields are divided by commas, semicolons or tabs.

    Args:
        text: the whole file.
        names: of its columns, by what they are (`COLUMNS`); None: it is one of OpenAI's exports.

    Raises:
        StatementError: it cannot be read; names the line.
    """
    text = text.removeprefix("\ufeff")
    first = text.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        heading: Sequence[str] = reader.fieldnames or ()
        name, kind, columns = _columns(heading, names)
        lines: list[Billed] = []
        spans: list[tuple[int, int]] = []
        for row in reader:
            where = f"line {reader.line_num}"
            if None in row or None in row.values():
                raise StatementError(f"{where}: it has not as many fields as the heading")
            cells = {name: (row[column] or "").strip() for name, column in columns.items()}
            if not any(cells.values()):
                continue
            span = _span(cells, where)
            spans.append(span)
            if any(cells.get(name) for name in ("cost", "requests", "input", "output")):
                lines.append(_line(cells, span, where, items=kind == "costs"))
    except csv.Error as error:
        raise StatementError(f"line {reader.line_num}: {error}") from None
    return Statement(format=name, kind=kind, lines=lines, spans=spans)


def _columns(heading: Sequence[str], names: Mapping[str, str] | None) -> tuple[str, str, Mapping[str, str]]:
    if names is not None:
        missing = [column for column in names.values() if column not in heading]
        if missing:
            raise StatementError(f"line 1: no column {missing[0]!r}; there are {', '.join(map(repr, heading))}")
        return "", "CSV", names
    for kind, needed, columns in (("costs", "amount_value", _COSTS), ("usage", "num_model_requests", _USAGE)):
        if needed in heading and "start_time" in heading:
            return f"openai_{kind}", kind, {name: column for name, column in columns.items() if column in heading}
    raise StatementError("line 1: not the heading of an export of OpenAI: name its columns with --map")


def _span(cells: Mapping[str, str], where: str) -> tuple[int, int]:
    start = moment(cells["date"], f"{where}, date")
    if cells.get("end"):
        return on_the_hour(start, moment(cells["end"], f"{where}, end"), where)
    day = datetime.fromtimestamp(start // 1000, UTC).replace(hour=0, minute=0, second=0)
    following = day + timedelta(days=1)
    return round(day.timestamp()) * 1000, round(following.timestamp()) * 1000


def _line(cells: Mapping[str, str], span: tuple[int, int], where: str, *, items: bool) -> Billed:
    require_dollars(cells.get("currency", ""), f"{where}, currency")
    model, item = line_item(cells.get("model", "")) if items else (cells.get("model", ""), "")
    cost = cells.get("cost")
    return Billed(
        start=span[0],
        end=span[1],
        model=model,
        item=item,
        requests=_count(cells, "requests", where),
        input=_count(cells, "input", where),
        cache_read=_count(cells, "cached", where),
        cache_write=_count(cells, "cache_write", where),
        output=_count(cells, "output", where),
        cost=exact(cost, f"{where}, cost") if cost else None,
    )


def _count(cells: Mapping[str, str], name: str, where: str) -> int | None:
    text = cells.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise StatementError(f"{where}, {name}: {text!r} is not a count")
    return int(text)
