"""`komeet ledger`: the ways out of what the ledger cannot settle by itself, and what is posted besides calls."""

from collections import defaultdict
from typing import Annotated

import typer
from sqlalchemy import Engine

from komeet.cli.actor import note
from komeet.cli.duration import since as start_of
from komeet.cli.options import AsJson, ConfigFile, DataDir, new_program
from komeet.cli.output import console, escape, fail, money, print_json, timestamp, when
from komeet.cli.people import ledger_of
from komeet.cli.repricing import Repriced, Repricer, fits
from komeet.cli.setup import read
from komeet.cli.table import Column, table
from komeet.config.load import ConfigError
from komeet.core.clock import SystemClock
from komeet.core.money import Nano, dollars, parse_dollars
from komeet.ledger.entries import Attempt, Entry, EntryKind
from komeet.store.budgets import titles
from komeet.store.entries import (
    Amounts,
    Orphan,
    correct_attempt,
    find_entries,
    find_orphans,
    resolve_attempt,
    resolve_uncertain,
    settled_between,
    uncertain_leases,
)
from komeet.store.errors import StoreError

_ORPHANS = (
    Column("attempt", least=36),
    Column("ended (UTC)", rank=1, least=16),
    Column("provider/model"),
    Column("held", number=True),
    Column("why", rank=2),
    Column("request", rank=3, least=36),
)
_UNCERTAIN = (
    Column("id"),
    Column("budget"),
    Column("window (UTC)", rank=1, least=16),
    Column("held", number=True),
    Column("noted (UTC)", rank=2, least=16),
    Column("session", rank=3),
)
_ENTRIES = (
    Column("entry"),
    Column("entered (UTC)", least=16, rank=3),
    Column("kind"),
    Column("cost", number=True),
    Column("charge", number=True),
    Column("reason"),
    Column("by", rank=1),
    Column("attempt", rank=2, least=36),
)
_REPRICED = (
    Column("provider/model"),
    Column("calls", number=True),
    Column("cost", number=True),
    Column("new cost", number=True),
    Column("charge", number=True, rank=1),
    Column("new charge", number=True),
    Column("price", rank=2),
)

program = new_program()

_Attempt = Annotated[str, typer.Argument(metavar="ATTEMPT", help="Its id: att_…")]
_Cost = Annotated[str | None, typer.Option(metavar="DOLLARS", help="What the provider bills for it, in all.")]
_Charge = Annotated[
    str | None, typer.Option(metavar="DOLLARS", help="What the customer is charged for it, in all; default: see there.")
]
_Reason = Annotated[str, typer.Option(metavar="TEXT", help="Kept with the entry.")]


@program.command()
def orphans(config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the attempts whose cost nobody knows.

    They were sent, and what came of them was lost; they hold their reservations until they are resolved.
    """
    with ledger_of(config, data_dir) as ledger:
        found = find_orphans(ledger)
    if as_json:
        print_json([_orphan(one) for one in found])
        return
    rows = [
        (o.attempt_id, when(o.ended_at), f"{o.provider}/{o.model}", money(o.held), o.reason, o.request_id)
        for o in found
    ]
    table(_ORPHANS, rows, empty="No orphans.")


@program.command()
def resolve(
    attempt: _Attempt,
    reason: _Reason,
    cost: _Cost = None,
    charge: _Charge = None,
    void: Annotated[bool, typer.Option("--void", help="It cost nothing: the provider never billed it.")] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say what an orphan cost.

    What it held is released, and the cost is posted. The charge is the cost, unless the call was held for another
    charge than cost: then --charge says it.
    """
    if void == (cost is not None) or (void and charge is not None):
        fail("say what it cost: --cost DOLLARS, or --void where it cost nothing")
    billed, charged = _amount(cost) or Nano(0), _amount(charge)

    def decide(found: Attempt) -> Amounts:
        if charged is None and not void and found.hold.most_charged != found.hold.amount:
            raise StoreError(f"{attempt} is charged by a price of its own: say --charge, too (0 is an answer).")
        return Amounts(billed, billed if charged is None else charged)

    with ledger_of(config, data_dir) as ledger:
        entry = resolve_attempt(ledger, attempt, decide, note(_text(reason)))
    _say(entry, as_json=as_json)


@program.command()
def correct(
    attempt: _Attempt,
    reason: _Reason,
    cost: _Cost = None,
    charge: _Charge = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say what an attempt comes to in all.

    A new entry posts the difference; no row is changed. Without --charge, the charge follows the cost where both
    are the same now, and stays as it is where they are not.
    """
    if cost is None and charge is None:
        fail("say what it comes to: --cost DOLLARS, --charge DOLLARS, or both")
    billed, charged = _amount(cost), _amount(charge)

    def decide(found: Attempt) -> Amounts:
        now = found.cost if billed is None else billed
        same = now if found.cost == found.charge and billed is not None else found.charge
        return Amounts(now, same if charged is None else charged)

    with ledger_of(config, data_dir) as ledger:
        entry = correct_attempt(ledger, attempt, decide, note(_text(reason)))
    if entry is None:
        console().print("Nothing to correct: it comes to that already.")
    else:
        _say(entry, as_json=as_json)


@program.command()
def uncertain(
    number: Annotated[int | None, typer.Argument(metavar="[ID]", min=1, help="The one to resolve; none: list.")] = None,
    spent: Annotated[
        str | None, typer.Option(metavar="DOLLARS", help="What was spent of it; the rest is free again.")
    ] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List, or resolve, what is held since a loss of power.

    The end of a journal may be gone, and what its process had leased of budgets stays held. Nobody knows which
    calls were in it: the provider's own usage says what they cost, if there were any.
    """
    if (number is None) != (spent is None):
        fail("to resolve one, give its id and --spent DOLLARS (0 is an answer)")
    amount = _amount(spent)
    with ledger_of(config, data_dir) as ledger:
        if number is not None and amount is not None:
            done = resolve_uncertain(ledger, SystemClock(), number, amount)
            rest = max(done.lease.amount - amount, 0)
            console().print(f"Resolved: {money(amount)} is spent, {money(rest)} is free again")
            return
        found, named = uncertain_leases(ledger), titles(ledger)
    if as_json:
        print_json(
            [
                {
                    "id": one.id,
                    "session": one.session,
                    "budget": one.lease.window.budget,
                    "begins_at": timestamp(one.lease.window.starts_at or None),
                    "held": dollars(one.lease.amount),
                    "held_nano": one.lease.amount,
                    "noted_at": timestamp(one.noted_at),
                }
                for one in found
            ]
        )
        return
    rows = [
        (
            str(one.id),
            f"{one.lease.window.budget} ({named[one.lease.window.budget]})",
            when(one.lease.window.starts_at) if one.lease.window.starts_at else "",
            money(one.lease.amount),
            when(one.noted_at),
            one.session,
        )
        for one in found
    ]
    table(_UNCERTAIN, rows, empty="Nothing is uncertain.")


@program.command()
def entries(config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List what is posted besides calls.

    Resolutions, corrections, repricings, credits.
    """
    with ledger_of(config, data_dir) as ledger, ledger.connect() as connection:
        found = find_entries(connection)
    if as_json:
        print_json([_entry(one) for one in found])
        return
    rows = [
        (
            str(one.id),
            when(one.created_at),
            str(one.kind),
            _signed(one.cost),
            _signed(one.charge),
            one.reason,
            one.actor,
            one.attempt_id or "",
        )
        for one in found
    ]
    table(_ENTRIES, rows, empty="No entries.")


@program.command()
def reprice(
    since: Annotated[str, typer.Option(metavar="WHEN", help="Calls that ended from then on: 24h, 30d, 2027-01-31.")],
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="… and before then.")] = None,
    model: Annotated[str | None, typer.Option(metavar="PATTERN", help="Only these: gpt-5*, openai/*.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Enter it; without this it is only said.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Kept with the entries.")] = "repriced",
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Price calls again, as of when they were made.

    By the prices and sales of today's configuration that were in force then: for calls that were unpriced, or priced
    wrongly. Only says what would change, unless --apply is given; then each
    difference is an entry. What was corrected by hand stays as it is.
    """
    setup = read(config, data_dir)
    now = SystemClock().unix_ms()
    try:
        first, last = start_of(since, now), None if until is None else start_of(until, now)
        repricer = Repricer(setup)
    except (ValueError, ConfigError) as error:
        fail(str(error))
    with ledger_of(config, data_dir) as ledger:
        found = _repriced(ledger, repricer, first, last, model)
        if apply:
            for one in found:
                _enter(ledger, one, _text(reason))
    if as_json:
        print_json([_reprice(one) for one in found])
        return
    table(_REPRICED, _sums(found), empty="Nothing to reprice.")
    if repricer.unpriced:
        console().print(f"{repricer.unpriced:,} calls have no known price now, either.")
    if found and not apply:
        console().print("Nothing has been entered; --apply does it.")


def _repriced(ledger: Engine, repricer: Repricer, first: int, last: int | None, model: str | None) -> list[Repriced]:
    with ledger.connect() as connection, connection.begin():
        each = (
            repricer.reprice(attempt, owner)
            for attempt, owner in settled_between(connection, first, last)
            if fits(attempt, model)
        )
        return [one for one in each if one is not None]


def _enter(ledger: Engine, one: Repriced, reason: str) -> None:
    def decide(found: Attempt) -> Amounts:
        if found.entries != one.attempt.entries:
            raise StoreError(f"{found.hold.attempt_id} was changed meanwhile; say the same again to reprice the rest.")
        return one.amounts

    noted = note(f"{reason} ({one.version})")
    correct_attempt(ledger, one.attempt.hold.attempt_id, decide, noted, EntryKind.REPRICING)


def _sums(found: list[Repriced]) -> list[tuple[str, ...]]:
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 5)
    for one in found:
        numbers = sums[f"{one.attempt.hold.provider}/{one.attempt.hold.model}", one.version]
        new = (1, one.attempt.cost, one.amounts.cost, one.attempt.charge, one.amounts.charge)
        for place, more in enumerate(new):
            numbers[place] += more
    return [
        (name, f"{count:,}", *map(money, amounts), version)
        for (name, version), (count, *amounts) in sorted(sums.items())
    ]


def _reprice(one: Repriced) -> dict[str, object]:
    amounts = {
        "cost": one.attempt.cost,
        "new_cost": one.amounts.cost,
        "charge": one.attempt.charge,
        "new_charge": one.amounts.charge,
    }
    return {
        "attempt": one.attempt.hold.attempt_id,
        "provider": one.attempt.hold.provider,
        "model": one.attempt.hold.model,
        "price": one.version,
        **{name: dollars(amount) for name, amount in amounts.items()},
        **{f"{name}_nano": amount for name, amount in amounts.items()},
    }


def _say(entry: Entry, *, as_json: bool) -> None:
    if as_json:
        print_json(_entry(entry))
        return
    changed = f"cost {_signed(entry.cost)}, charge {_signed(entry.charge)}"
    console().print(escape(f"Entry {entry.id} ({entry.kind} of {entry.attempt_id}): {changed}"))


def _signed(amount: int) -> str:
    return money(amount) if amount == 0 else f"{'+' if amount > 0 else '-'}{money(abs(amount))}"


def _entry(one: Entry) -> dict[str, object]:
    return {
        "id": one.id,
        "kind": one.kind,
        "attempt": one.attempt_id,
        "cost": dollars(one.cost),
        "cost_nano": one.cost,
        "charge": dollars(one.charge),
        "charge_nano": one.charge,
        "reason": one.reason,
        "actor": one.actor,
        "created_at": timestamp(one.created_at),
    }


def _orphan(one: Orphan) -> dict[str, object]:
    return {
        "attempt": one.attempt_id,
        "request": one.request_id,
        "key_id": one.key_id,
        "provider": one.provider,
        "model": one.model,
        "held": dollars(one.held),
        "held_nano": one.held,
        "reason": one.reason,
        "ended_at": timestamp(one.ended_at),
    }


def _amount(text: str | None) -> Nano | None:
    if text is None:
        return None
    try:
        return parse_dollars(text)
    except ValueError as error:
        fail(str(error))


def _text(reason: str) -> str:
    if not reason.strip() or not reason.isprintable():
        fail(f"--reason {reason!r}: give it some printable text")
    return reason
