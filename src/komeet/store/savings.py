"""What caches have saved, from the request log: the provider's own prompt cache, and Komeet's response cache."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct
from sqlalchemy import ColumnElement, Engine, RowMapping, case, func, select

from komeet.core.money import Nano
from komeet.store.tables import requests

SavedBy = Literal["model", "provider", "key", "day"]
_DAY_MS: Final = 86_400_000


class Savings(Struct, frozen=True, kw_only=True):
    """The sums of some requests."""

    name: str
    """`provider/model`, a provider, the id of a key, or the beginning of a day (Unix milliseconds, UTC). `cache`
    stands for the provider of what the response cache answered."""
    calls: int = 0
    """Requests that were answered with success."""
    input: int = 0
    """Tokens that providers read for them."""
    cache_read: int = 0
    """Of these, those that their prompt caches held."""
    prompt_saved: Nano = Nano(0)
    """What these would have cost besides; less than 0 where what was written to a cache cost more than it saved."""
    hits: int = 0
    """Requests that were answered from the response cache, with no tokens and at no cost."""
    saved: Nano = Nano(0)
    """What these would have cost."""


def savings(engine: Engine, by: SavedBy, since: int | None = None, until: int | None = None) -> list[Savings]:
    """Return what was saved, the most first (by day: the earliest first).

    Args:
        engine: of the request log.
        by: what a row stands for.
        since: Unix milliseconds, inclusive.
        until: Unix milliseconds, exclusive.
    """
    table = requests.c
    hit = table.cache == "hit"
    group = _group(by)
    sums: Mapping[str, ColumnElement[Any]] = {
        "calls": func.count(),
        "input": func.sum(table.input_tokens),
        "cache_read": func.sum(table.cache_read_tokens),
        "prompt_saved": func.sum(table.prompt_saved),
        "hits": func.sum(case((hit, 1), else_=0)),
        "saved": func.sum(table.saved),
    }
    chosen = select(*group, *(column.label(name) for name, column in sums.items())).where(table.status < 400)
    if since is not None:
        chosen = chosen.where(table.at >= since)
    if until is not None:
        chosen = chosen.where(table.at < until)
    with engine.connect() as connection:
        found = connection.execute(chosen.group_by(*(column.name for column in group))).mappings().all()
    rows = [_row(by, row) for row in found]
    rows.sort(key=(lambda row: (row.name,)) if by == "day" else (lambda row: (-row.prompt_saved - row.saved, row.name)))
    return rows


def _group(by: SavedBy) -> tuple[ColumnElement[Any], ...]:
    table = requests.c
    match by:
        case "model":
            return table.provider.label("common"), table.model_asked.label("more")
        case "provider":
            return (table.provider.label("common"),)
        case "key":
            return (table.key_id.label("common"),)
        case "day":
            return ((table.at - table.at % _DAY_MS).label("common"),)


def _row(by: SavedBy, row: RowMapping) -> Savings:
    common = row["common"]
    name = f"{common:015d}" if by == "day" else f"{common or 'cache'}/{row['more']}" if by == "model" else str(common)
    return Savings(
        name=name or "cache",
        calls=int(row["calls"]),
        input=int(row["input"] or 0),
        cache_read=int(row["cache_read"] or 0),
        prompt_saved=Nano(int(row["prompt_saved"] or 0)),
        hits=int(row["hits"] or 0),
        saved=Nano(int(row["saved"] or 0)),
    )
