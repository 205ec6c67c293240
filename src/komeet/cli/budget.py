"""`komeet budget`: what may be spent by whom and on what, in which windows of time."""

from typing import Annotated

import typer
from sqlalchemy import Engine

from komeet.cli.options import AsJson, ConfigFile, DataDir, new_program
from komeet.cli.output import console, escape, fail, money, print_json, timestamp, when
from komeet.cli.people import ledger_of
from komeet.cli.setup import existing_files
from komeet.cli.table import Column, table
from komeet.core.clock import SystemClock
from komeet.core.money import Nano, dollars, parse_dollars
from komeet.ledger.budget import Budget, Scope, Span
from komeet.ledger.thresholds import MOST_PERCENT
from komeet.store import people
from komeet.store.budgets import Spending, change_budget_by_id, create_budget, end_budget_by_id, spending
from komeet.store.errors import StoreError
from komeet.store.keys import find_key
from komeet.store.people import Group

_COLUMNS = (
    Column("budget"),
    Column("of"),
    Column("limit", number=True),
    Column("spent", number=True),
    Column("held", number=True, rank=2),
    Column("leased", number=True, rank=3),
    Column("left", number=True),
    Column("begins anew (UTC)", least=16, rank=1),
    Column("notes", rank=4),
)

program = new_program("Make, list, change and end budgets.")

_Amount = Annotated[str, typer.Argument(metavar="DOLLARS", help="What may be spent in each window: 100, 0.50.")]
_At = Annotated[
    str | None, typer.Option("--at", metavar="PERCENTS", help="When somebody is told: 50,80,100. `none`: never.")
]
_Id = Annotated[int, typer.Argument(metavar="ID", min=1, help="As `komeet budget list` shows it.")]


@program.command()
def create(
    amount: _Amount,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Of a key: name, id, or last characters.")] = None,
    user: Annotated[str | None, typer.Option(metavar="USER", help="Of a user: name or id.")] = None,
    project: Annotated[str | None, typer.Option(metavar="PROJECT", help="Of a project: name or id.")] = None,
    org: Annotated[
        str | None,
        typer.Option(metavar="ORG", help="Of an organisation: name or id; with --user or --project: whose they are."),
    ] = None,
    provider: Annotated[str | None, typer.Option(metavar="NAME", help="Of a provider, by what it bills.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Of models, by what is billed: openai/gpt-5*, gpt-5*.")
    ] = None,
    span: Annotated[Span, typer.Option("--per", help="How long a window lasts.")] = Span.TOTAL,
    zone: Annotated[str, typer.Option(metavar="ZONE", help="By whose clock and calendar: Europe/Amsterdam.")] = "UTC",
    hard: Annotated[bool, typer.Option("--hard/--soft", help="A limit that refuses, or one that only tells.")] = True,
    at: _At = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a budget; what is spent from now on counts. A running server knows it within a second."""
    limit, percents = _dollars(amount), _percents(at) or ()
    with ledger_of(config, data_dir) as ledger:
        scope, subject, label = _subject(ledger, key, user, project, org, provider, model)
        wanted = Budget(
            id=0,
            scope=scope,
            subject=subject,
            label=label,
            span=span,
            zone=zone,
            amount=limit,
            hard=hard,
            thresholds=percents,
        )
        made = create_budget(ledger, SystemClock(), wanted)
        found = _one(ledger, made.id)
    if as_json:
        print_json(_row(found))
    else:
        console().print(_said(made))


@program.command(name="list")
def list_(config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the budgets as they stand now: spent, set aside, left.

    `held`: for calls whose cost nobody knows. `leased`: for calls under way, and in the hands of workers.
    """
    try:
        with existing_files(config, data_dir) as files:
            found = [] if files is None else spending(files.ledger, SystemClock().unix_ms())
    except StoreError as error:
        fail(str(error))
    if as_json:
        print_json([_row(one) for one in found])
        return
    table(_COLUMNS, [_cells(one) for one in found], empty="No budgets yet. `komeet budget create` makes one.")


@program.command()
def change(
    budget: _Id,
    amount: Annotated[
        str | None, typer.Argument(metavar="[DOLLARS]", help="What may be spent in each window from now on.")
    ] = None,
    at: _At = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Change a budget; calls see it within a second.

    Also lifts the block that a bill above its reservation left, and does nothing but that without an amount and --at.
    """
    limit = None if amount is None else _dollars(amount)
    percents = _percents(at)
    with ledger_of(config, data_dir) as ledger:
        changed = change_budget_by_id(ledger, budget, amount=limit, thresholds=percents)
    console().print(_said(changed))


@program.command()
def end(budget: _Id, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """End a budget: it limits nothing any more. What was spent stays in the ledger."""
    with ledger_of(config, data_dir) as ledger:
        ended = end_budget_by_id(ledger, SystemClock(), budget)
    console().print(f"Ended: {_said(ended)}")


def _subject(
    ledger: Engine,
    key: str | None,
    user: str | None,
    project: str | None,
    org: str | None,
    provider: str | None,
    model: str | None,
) -> tuple[Scope, str, str]:
    """Whose budget is meant, by id, and what people call it."""
    within = org if user is not None or project is not None else None
    given = [name for name in (key, user, project, None if within else org, provider, model) if name is not None]
    if len(given) != 1:
        fail("say whose budget it is: one of --key, --user, --project, --org, --provider, --model")
    if key is not None:
        found = find_key(ledger, key)
        return Scope.KEY, found.id, found.name
    if provider is not None:
        return Scope.PROVIDER, provider, ""
    if model is not None:
        return Scope.MODEL, model if "/" in model else f"*/{model}", ""
    group, which = _group(user, project, org)
    with ledger.connect() as connection:
        member = people.find(connection, group, which, within)
    return Scope(group.value), member.id, member.name


def _group(user: str | None, project: str | None, org: str | None) -> tuple[Group, str]:
    if user is not None:
        return Group.USER, user
    if project is not None:
        return Group.PROJECT, project
    assert org is not None
    return Group.ORGANISATION, org


def _dollars(text: str) -> Nano:
    try:
        return parse_dollars(text)
    except ValueError as error:
        fail(str(error))


def _percents(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if text == "none":
        return ()
    parts = [part.strip().removesuffix("%") for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= MOST_PERCENT for part in parts):
        fail(f"--at {text!r}: write percents of the amount, from 1 to {MOST_PERCENT}: 50,80,100")
    return tuple(sorted({int(part) for part in parts}))


def _one(ledger: Engine, budget: int) -> Spending:
    return next(one for one in spending(ledger, SystemClock().unix_ms()) if one.budget.id == budget)


def _said(budget: Budget) -> str:
    kind = "hard" if budget.hard else "soft"
    told = f", told at {', '.join(f'{percent} %' for percent in budget.thresholds)}" if budget.thresholds else ""
    return escape(f"budget {budget.id} ({budget.title}): {money(budget.amount)}, {kind}{told}")


def _cells(one: Spending) -> tuple[str, ...]:
    budget = one.budget
    notes = {
        "soft": not budget.hard,
        "prepaid": budget.prepaid,
        "blocked": budget.blocked,
        f"told at {', '.join(map(str, budget.thresholds))} %": budget.thresholds,
    }
    return (
        str(budget.id),
        budget.title,
        money(budget.amount),
        money(one.posted),
        money(one.held) if one.held else "",
        money(one.leased) if one.leased else "",
        money(one.left),
        "" if one.ends_at is None else when(one.ends_at),
        ", ".join(note for note, given in notes.items() if given),
    )


def _row(one: Spending) -> dict[str, object]:
    budget = one.budget
    amounts = {
        "limit": budget.amount,
        "spent": one.posted,
        "held": one.held,
        "leased": one.leased,
        "left": one.left,
    }
    return {
        "id": budget.id,
        "scope": budget.scope,
        "subject": budget.subject,
        "name": budget.label,
        "per": budget.span,
        "zone": budget.zone,
        "hard": budget.hard,
        "prepaid": budget.prepaid,
        "blocked": budget.blocked,
        "at": budget.thresholds,
        **{name: dollars(amount) for name, amount in amounts.items()},
        **{f"{name}_nano": amount for name, amount in amounts.items()},
        "begins_at": timestamp(one.starts_at) if one.ends_at is not None else None,
        "resets_at": timestamp(one.ends_at),
    }
