"""`komeet key`: make and list keys, change their budgets, revoke them."""

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from komeet.access.keys import Key, KeyLimits
from komeet.cli.duration import moment
from komeet.cli.options import AsJson, ConfigFile, DataDir, new_program
from komeet.cli.output import console, day, escape, fail, money, print_json, timestamp, when
from komeet.cli.setup import data_files, existing_files, where
from komeet.cli.table import Column, table
from komeet.core.clock import SystemClock
from komeet.core.money import dollars, parse_dollars
from komeet.store.errors import StoreError
from komeet.store.keys import change_budget, change_limits, create_key, list_keys, revoke_key
from komeet.store.people import owner_of

_COLUMNS = (
    Column("name"),
    Column("key"),
    Column("state"),
    Column("budget", number=True),
    Column("models"),
    Column("tags", rank=1),
    Column("ends (UTC)", rank=2, least=16),
    Column("made", rank=3),
    Column("id", rank=4, least=36),
)

program = new_program("Make, list and revoke API keys; change their budgets.")

_Which = Annotated[str, typer.Argument(metavar="KEY", help="Its name, its id, or its last characters.")]
_Rpm = Annotated[int | None, typer.Option("--rpm", min=1, metavar="N", help="Calls per minute; see docs/limits.md.")]
_Rpd = Annotated[int | None, typer.Option("--rpd", min=1, metavar="N", help="Calls per day.")]
_Tpm = Annotated[int | None, typer.Option("--tpm", min=1, metavar="N", help="Tokens per minute, in and out.")]
_Tpd = Annotated[int | None, typer.Option("--tpd", min=1, metavar="N", help="Tokens per day, in and out.")]
_Concurrent = Annotated[int | None, typer.Option("--concurrent", min=1, metavar="N", help="Calls at once.")]
_Wait = Annotated[
    float | None,
    typer.Option("--wait", min=0, max=600, metavar="SECONDS", help="How long a call may wait for room, before 429."),
]


_Org = Annotated[
    str | None, typer.Option("--org", metavar="ORG", help="The organisation that it belongs to: its name or its id.")
]
_Project = Annotated[
    str | None, typer.Option("--project", metavar="PROJECT", help="The project, which also gives the organisation.")
]
_User = Annotated[str | None, typer.Option("--user", metavar="USER", help="The user, who also gives the organisation.")]


@program.command()
def create(
    name: Annotated[str, typer.Option(metavar="NAME", help="For people; need not be unique.")] = "default",
    budget: Annotated[
        str | None,
        typer.Option(metavar="DOLLARS", help="Most that it may spend in all, in dollars: 5, 0.50. A hard limit."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Models that it may use: gpt-5*, openai/*. May be repeated."),
    ] = None,
    expires: Annotated[str | None, typer.Option(metavar="WHEN", help="When it ends: 30d, 12h, 2027-01-31.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Kept with each of its calls. May be repeated.")
    ] = None,
    store_bodies: Annotated[
        bool, typer.Option("--store-bodies", help="Keep prompts and answers in the request log.")
    ] = False,
    org: _Org = None,
    project: _Project = None,
    user: _User = None,
    rpm: _Rpm = None,
    rpd: _Rpd = None,
    tpm: _Tpm = None,
    tpd: _Tpd = None,
    concurrent: _Concurrent = None,
    wait: _Wait = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and print it: once, and alone on standard output.

    So it goes straight into a variable: KEY=$(komeet key create). Only its hash is kept.
    """
    clock = SystemClock()
    patterns = [pattern.strip() for given in models or () for pattern in given.split(",")]
    for option, texts in (("--name", (name,)), ("--models", patterns), ("--tag", tag or ())):
        _check(option, texts)
    try:
        limit = None if budget is None else parse_dollars(budget)
        until = None if expires is None else moment(expires, clock.unix_ms())
    except ValueError as error:
        fail(str(error))
    if until is not None and until <= clock.unix_ms():
        fail(f"--expires {expires} has passed already")
    try:
        with data_files(config, data_dir) as files:
            key, secret = create_key(
                files.ledger,
                clock,
                name=name,
                budget=limit,
                expires_at=until,
                models=patterns,
                tags=tag or (),
                store_bodies=store_bodies,
                limits=_limits(rpm, rpd, tpm, tpd, concurrent, wait),
                owner=owner_of(files.ledger, org, project, user),
            )
    except StoreError as error:
        fail(str(error))
    if as_json:
        print_json(_row(key) | {"key": secret.reveal()})
        return
    sys.stdout.write(secret.reveal() + "\n")
    sys.stdout.flush()
    if sys.stderr.isatty():
        console(stderr=True).print(f"[dim]{escape(_summary(key))}[/dim]")


def _check(option: str, texts: Sequence[str]) -> None:
    for text in texts:
        if not text.strip() or not text.isprintable():
            fail(f"{option} {text!r}: give it some printable text")


@program.command(name="list")
def list_(
    revoked: Annotated[bool, typer.Option("--all", help="Revoked and expired keys too.")] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the keys: their names, limits and last characters.

    Never the keys themselves: nobody has them any more.
    """
    now = SystemClock().unix_ms()
    try:
        with existing_files(config, data_dir) as files:
            known = [] if files is None else list_keys(files.ledger)
    except StoreError as error:
        fail(str(error))
    shown = [key for key in known if revoked or _state(key, now) == "active"]
    if as_json:
        print_json([_row(key) | {"state": _state(key, now)} for key in shown])
        return
    hidden = len(known) - len(shown)
    empty = f"No active keys; --all shows {hidden} more." if hidden else "No keys yet."
    rows = [_cells(key, _state(key, now) if revoked else "") for key in shown]
    table(_COLUMNS, rows, empty=f"{empty} `komeet key create --name NAME` makes one.")


def _cells(key: Key, state: str) -> tuple[str, ...]:
    return (
        key.name,
        f"…{key.hint}",
        state,
        "–" if key.budget is None else money(key.budget),
        ", ".join(key.models) or "all",
        ", ".join(key.tags),
        "" if key.expires_at is None else when(key.expires_at),
        day(key.created_at),
        key.id,
    )


@program.command()
def revoke(which: _Which, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Revoke a key; a running server refuses it within a second."""
    with _ledger(config, data_dir) as ledger:
        key = revoke_key(ledger, SystemClock(), which)
    console().print(f"Revoked: {escape(key.name)} (…{key.hint}, {key.id})")


@program.command()
def limit(
    which: _Which,
    rpm: _Rpm = None,
    rpd: _Rpd = None,
    tpm: _Tpm = None,
    tpd: _Tpd = None,
    concurrent: _Concurrent = None,
    wait: _Wait = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Change how often a key may call.

    What is left out is not limited any more.

    What the configuration's `limits` say holds besides. A running server sees the change within a second.
    """
    with _ledger(config, data_dir) as ledger:
        key = change_limits(ledger, which, _limits(rpm, rpd, tpm, tpd, concurrent, wait))
    console().print(f"{escape(key.name)} (…{key.hint}): {_rates(key)}")


@program.command()
def budget(
    which: _Which,
    amount: Annotated[
        str, typer.Argument(metavar="DOLLARS", help="Most that it may spend in all, in dollars; `none`: no limit.")
    ],
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Change what a key may spend in all.

    Also lifts the block that a bill above its reservation left.
    """
    try:
        limit = None if amount == "none" else parse_dollars(amount)
    except ValueError as error:
        fail(f"{error}; `none` lifts the limit")
    with _ledger(config, data_dir) as ledger:
        key = change_budget(ledger, SystemClock(), which, limit)
    console().print(f"{escape(key.name)} (…{key.hint}): {_limit(key)}")


@contextmanager
def _ledger(config: Path | None, data_dir: Path | None) -> Generator[Engine]:
    """Open the ledger whose keys are to be changed; what is wrong with it, or with the change, ends the command."""
    try:
        with existing_files(config, data_dir) as files:
            if files is None:
                fail(f"there are no keys in {where(config, data_dir)} yet; `komeet key create` makes one")
            yield files.ledger
    except StoreError as error:
        fail(str(error))


def _state(key: Key, now: int) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.archived:
        return "archived"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"


def _limit(key: Key) -> str:
    return "no budget" if key.budget is None else f"budget {money(key.budget)}"


def _limits(
    rpm: int | None, rpd: int | None, tpm: int | None, tpd: int | None, concurrent: int | None, wait: float | None
) -> KeyLimits:
    return KeyLimits(
        requests_per_minute=rpm,
        requests_per_day=rpd,
        tokens_per_minute=tpm,
        tokens_per_day=tpd,
        concurrent=concurrent,
        wait_seconds=wait,
    )


def _rates(key: Key) -> str:
    named = {name: getattr(key.limits, name) for name in key.limits.__struct_fields__}
    said = [f"{value:,} {name.replace('_', ' ')}" for name, value in named.items() if value is not None]
    return ", ".join(said) or "no limits of its own"


def _summary(key: Key) -> str:
    models = ", ".join(key.models) or "every model"
    ends = "never ends" if key.expires_at is None else f"ends {when(key.expires_at)} UTC"
    return f"{key.name}: {_limit(key)}, {models}, {ends}. It will not be shown again."


def _row(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "budget": None if key.budget is None else dollars(key.budget),
        "models": key.models,
        "tags": key.tags,
        "store_bodies": key.store_bodies,
        "limits": key.limits,
        "organisation": key.organisation,
        "project": key.project,
        "user": key.user,
        "created_at": timestamp(key.created_at),
        "expires_at": timestamp(key.expires_at),
        "revoked_at": timestamp(key.revoked_at),
    }
