"""`komeet key`: make and list keys, change their budgets, revoke them."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from komeet.access.keys import Key
from komeet.cli.duration import moment
from komeet.cli.options import AsJson, ConfigFile, DataDir
from komeet.cli.output import console, escape, fail, money, print_json, table, when
from komeet.cli.setup import data_files
from komeet.core.clock import SystemClock
from komeet.core.money import dollars, parse_dollars
from komeet.store.errors import StoreError
from komeet.store.keys import change_budget, create_key, list_keys, revoke_key

program = typer.Typer(help="API keys: make, list, revoke; change budgets.", no_args_is_help=True)


@program.command()
def create(
    name: Annotated[str, typer.Option(help="For people; need not be unique.")] = "default",
    budget: Annotated[
        str | None, typer.Option(help="Most that it may spend, in dollars: 5, 0.50. A hard limit.")
    ] = None,
    models: Annotated[
        list[str] | None, typer.Option(help="Models that it may use: gpt-5*, openai/*. May be repeated.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: 30d, 12h, 2027-01-31.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Kept with each of its calls. May be repeated.")] = None,
    store_bodies: Annotated[
        bool, typer.Option("--store-bodies", help="Keep prompts and answers in the request log.")
    ] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is printed once, alone on standard output: KEY=$(komeet key create)."""
    clock = SystemClock()
    try:
        limit = None if budget is None else parse_dollars(budget)
        until = None if expires is None else moment(expires, clock.unix_ms())
    except ValueError as error:
        fail(str(error))
    patterns = [pattern.strip() for given in models or () for pattern in given.split(",") if pattern.strip()]
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
            )
    except StoreError as error:
        fail(str(error))
    if as_json:
        print_json(_row(key) | {"key": secret.reveal()})
        return
    sys.stdout.write(secret.reveal() + "\n")
    sys.stdout.flush()
    if sys.stderr.isatty():
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[dim]{escape(_summary(key))}[/dim]")


@program.command(name="list")
def list_(
    revoked: Annotated[bool, typer.Option("--all", help="Revoked and expired keys too.")] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the keys; never the keys themselves, which nobody has any more."""
    now = SystemClock().unix_ms()
    try:
        with data_files(config, data_dir) as files:
            known = list_keys(files.ledger)
    except StoreError as error:
        fail(str(error))
    shown = [key for key in known if revoked or _state(key, now) == "active"]
    if as_json:
        print_json([_row(key) | {"state": _state(key, now)} for key in shown])
        return
    table(
        ("name", "key", "budget", "models", "tags", "made", "ends", "state", "id"),
        [
            (
                key.name,
                f"…{key.hint}",
                "–" if key.budget is None else money(key.budget),
                ", ".join(key.models) or "all",
                ", ".join(key.tags) or "–",
                when(key.created_at),
                when(key.expires_at),
                _state(key, now),
                key.id,
            )
            for key in shown
        ],
        right=("budget",),
        empty="No keys; `komeet key create --name NAME` makes one.",
    )


@program.command()
def revoke(
    which: Annotated[str, typer.Argument(help="Its name, its id, or its last characters.")],
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Revoke a key; a running server refuses it within a second."""
    try:
        with data_files(config, data_dir) as files:
            key = revoke_key(files.ledger, SystemClock(), which)
    except StoreError as error:
        fail(str(error))
    console().print(f"Revoked: {escape(key.name)} (…{key.hint}, {key.id})")


@program.command()
def budget(
    which: Annotated[str, typer.Argument(help="Its name, its id, or its last characters.")],
    amount: Annotated[str, typer.Argument(help="Most that it may spend in all, in dollars; `none`: no limit.")],
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Change what a key may spend, and lift the block that a bill above its reservation left."""
    try:
        limit = None if amount == "none" else parse_dollars(amount)
    except ValueError as error:
        fail(str(error))
    try:
        with data_files(config, data_dir) as files:
            key = change_budget(files.ledger, which, limit)
    except StoreError as error:
        fail(str(error))
    console().print(f"{escape(key.name)} (…{key.hint}): {'no budget' if limit is None else escape(money(limit))}")


def _state(key: Key, now: int) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"


def _summary(key: Key) -> str:
    budget = "no budget" if key.budget is None else f"budget {money(key.budget)}"
    models = ", ".join(key.models) or "every model"
    ends = "never ends" if key.expires_at is None else f"ends {when(key.expires_at)} UTC"
    return f"{key.name}: {budget}, {models}, {ends}. It will not be shown again."


def _row(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "budget": None if key.budget is None else dollars(key.budget),
        "models": key.models,
        "tags": key.tags,
        "store_bodies": key.store_bodies,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
