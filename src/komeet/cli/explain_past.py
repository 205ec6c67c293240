"""`komeet explain --request`: what happened to a call, candidate by candidate."""

from pathlib import Path
from typing import Final

from msgspec import to_builtins

from komeet.canonical.record import CallRecord, Tried
from komeet.cli.output import console, escape, fail, money, print_json
from komeet.cli.setup import existing_files
from komeet.cli.table import Column, table
from komeet.routing.route import AS_ASKED
from komeet.store.errors import StoreError
from komeet.store.request_log import find_request

_COLUMNS: Final = (
    Column("", number=True),
    Column("asked", least=24),
    Column("in", rank=2),
    Column("after", number=True, rank=1),
    Column("took", number=True),
    Column("what happened", least=24),
    Column("why", least=24),
)


def explain_past(config: Path | None, data_dir: Path | None, request: str, *, as_json: bool) -> None:
    """Print who was asked for a call that was made, and what came of it."""
    try:
        with existing_files(config, data_dir) as files:
            found = None if files is None else find_request(files.requests, request)
    except StoreError as error:
        fail(str(error))
    if found is None:
        fail(f"no request {request} in the log: it may be older than `request_log.keep_days`, or not written yet")
    trail = found.trail or _only(found)
    if as_json:
        print_json(
            {
                "request": found.request_id,
                "model": found.model_asked,
                "status": found.status,
                "error": found.error or None,
                "cost_nano": found.cost,
                "latency_us": found.latency_us,
                "candidates": [to_builtins(one) for one in trail],
            }
        )
        return
    asked = [one for one in trail if one.attempt_id]
    table(_COLUMNS, [_row(number, one) for number, one in enumerate(asked, 1)], empty="Nobody was asked.")
    for one in trail:
        if not one.attempt_id:
            why = f"{one.why}; {one.said}" if one.said else one.why
            console().print(f"[dim]not asked: {escape(one.model)}: {escape(why)}[/dim]")
    ended = f"{found.status}{f' {found.error}' if found.error else ''}"
    took = f"{found.latency_us / 1000:,.0f} ms"
    console().print(escape(f"{found.model_asked}: the caller got {ended} after {took}; it cost {money(found.cost)}"))


def _only(found: CallRecord) -> tuple[Tried, ...]:
    """Return the trail of a call that went nowhere else."""
    if not found.attempt_id:
        return ()
    name = f"{found.provider}/{found.model_served or found.model_asked}"
    only = Tried(
        model=name, why=AS_ASKED, attempt_id=found.attempt_id, ended_us=found.latency_us, error=found.error, sent=True
    )
    return (only,)


def _row(number: int, one: Tried) -> tuple[str, ...]:
    took = f"{(one.ended_us - one.began_us) / 1000:,.0f} ms"
    if one.error:
        happened = f"{one.status or ('no answer' if one.sent else 'not sent')}: {one.said or one.error}"
    else:
        happened = "answered"
    key = f" (key {one.credential})" if one.credential not in {"", "default"} else ""
    return str(number), one.model + key, one.format, f"{one.began_us / 1000:,.0f} ms", took, happened, one.why
