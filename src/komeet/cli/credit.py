"""`komeet credit`: what organisations have paid in or were given, and may spend."""

from typing import Annotated

import typer

from komeet.cli.actor import actor
from komeet.cli.options import AsJson, ConfigFile, DataDir, new_program
from komeet.cli.output import console, escape, fail, money, print_json, timestamp, when
from komeet.cli.people import ledger_of
from komeet.cli.table import Column, table
from komeet.core.clock import SystemClock
from komeet.core.money import Nano, dollars, parse_dollars
from komeet.ledger.entries import Entry
from komeet.store.credits import Credited, credits_of, give

_COLUMNS = (
    Column("entered (UTC)", least=16),
    Column("kind"),
    Column("amount", number=True),
    Column("reason"),
    Column("by", rank=1),
    Column("reference", rank=2),
)

program = new_program("Give organisations credit, which they may spend.")

_Organisation = Annotated[str, typer.Argument(metavar="ORG", help="Its name or its id.")]
_Amount = Annotated[str, typer.Argument(metavar="DOLLARS", help="How much: 100, 0.50.")]
_Reason = Annotated[str, typer.Option(metavar="TEXT", help="Kept with the entry.")]
_Reference = Annotated[
    str,
    typer.Option(metavar="TEXT", help="What must not be entered twice: an invoice's number. Again, it does nothing."),
]


@program.command()
def grant(
    organisation: _Organisation,
    amount: _Amount,
    reason: _Reason,
    reference: _Reference = "",
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give an organisation credit.

    The first makes it prepaid: with a hard budget for all time, which each credit raises. Calls see it within a second.
    """
    given = _dollars(amount)
    with ledger_of(config, data_dir) as ledger:
        done = give(
            ledger, SystemClock(), organisation, given, reference=reference, reason=_text(reason), actor=actor()
        )
    say(done, as_json=as_json)


@program.command()
def take(
    organisation: _Organisation,
    amount: _Amount,
    reason: _Reason,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take credit back.

    A new entry against what was given by mistake, or was paid back.
    """
    taken = _dollars(amount)
    with ledger_of(config, data_dir) as ledger:
        done = give(ledger, SystemClock(), organisation, Nano(-taken), reason=_text(reason), actor=actor())
    say(done, as_json=as_json)


@program.command(name="list")
def list_(
    organisation: _Organisation, config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """List an organisation's credits.

    `komeet budget list` says what is left of them.
    """
    with ledger_of(config, data_dir) as ledger:
        found, known = credits_of(ledger, organisation)
    if as_json:
        print_json([_row(entry) for entry in known])
        return
    rows = [(when(e.created_at), str(e.kind), _signed(-e.charge), e.reason, e.actor, _reference(e)) for e in known]
    table(_COLUMNS, rows, empty=f"{found.name} has no credits.")


def say(done: Credited, *, as_json: bool) -> None:
    """Print what became of a credit."""
    if as_json:
        more = {"organisation": done.organisation.id, "balance": dollars(done.balance), "new": done.new}
        print_json(_row(done.entry) | more)
        return
    was = "" if done.new else "Entered before, nothing done: "
    said = f"{was}{_signed(-done.entry.charge)} for {done.organisation.name}; its credits come to {money(done.balance)}"
    console().print(escape(said))


def _signed(amount: int) -> str:
    return money(amount) if amount >= 0 else f"-{money(-amount)}"


def _reference(entry: Entry) -> str:
    return "" if entry.kind == "voucher" else entry.reference


def _row(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "kind": entry.kind,
        "amount": dollars(-entry.charge),
        "amount_nano": -entry.charge,
        "reference": _reference(entry),
        "reason": entry.reason,
        "actor": entry.actor,
        "created_at": timestamp(entry.created_at),
    }


def _dollars(text: str) -> Nano:
    try:
        return parse_dollars(text)
    except ValueError as error:
        fail(str(error))


def _text(reason: str) -> str:
    if not reason.strip() or not reason.isprintable():
        fail(f"--reason {reason!r}: give it some printable text")
    return reason
