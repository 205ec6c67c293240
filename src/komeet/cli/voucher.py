"""`komeet voucher`: codes that are worth credit, once."""

import sys
from typing import Annotated

import typer

from komeet.cli.actor import actor
from komeet.cli.credit import say
from komeet.cli.duration import moment
from komeet.cli.options import AsJson, ConfigFile, DataDir, new_program
from komeet.cli.output import day, fail, money, print_json, timestamp, when
from komeet.cli.people import ledger_of
from komeet.cli.setup import data_files
from komeet.cli.table import Column, table
from komeet.core.clock import SystemClock
from komeet.core.money import dollars, parse_dollars
from komeet.store.credits import Voucher, create_voucher, list_vouchers, redeem
from komeet.store.errors import StoreError

_COLUMNS = (
    Column("voucher"),
    Column("amount", number=True),
    Column("state"),
    Column("ends (UTC)", rank=1, least=16),
    Column("made", rank=2),
    Column("redeemed by", rank=3, least=36),
)

program = new_program("Make and redeem voucher codes.")


@program.command()
def create(
    amount: Annotated[str, typer.Argument(metavar="DOLLARS", help="What it is worth: 100, 0.50.")],
    expires: Annotated[str | None, typer.Option(metavar="WHEN", help="When it ends: 30d, 12h, 2027-01-31.")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a voucher, and print its code.

    Once, and alone on standard output: only its hash is kept.
    """
    clock = SystemClock()
    try:
        worth = parse_dollars(amount)
        until = None if expires is None else moment(expires, clock.unix_ms())
    except ValueError as error:
        fail(str(error))
    if until is not None and until <= clock.unix_ms():
        fail(f"--expires {expires} has passed already")
    try:
        with data_files(config, data_dir) as files:
            code = create_voucher(files.ledger, clock, worth, until)
    except StoreError as error:
        fail(str(error))
    if as_json:
        print_json({"code": code.reveal(), "amount": dollars(worth), "expires_at": timestamp(until)})
        return
    sys.stdout.write(code.reveal() + "\n")
    sys.stdout.flush()


@program.command(name="redeem")
def redeem_(
    code: Annotated[str, typer.Argument(metavar="CODE", help="As it was shown; `-` reads it from standard input.")],
    org: Annotated[str, typer.Option(metavar="ORG", help="The organisation that gets it: its name or its id.")],
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give an organisation what a voucher is worth, once.

    It is a credit, as `komeet credit grant` gives one.
    """
    shown = sys.stdin.readline().strip() if code == "-" else code
    with ledger_of(config, data_dir) as ledger:
        done = redeem(ledger, SystemClock(), shown, org, actor())
    say(done, as_json=as_json)


@program.command(name="list")
def list_(config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the vouchers; never their codes, which nobody has any more."""
    now = SystemClock().unix_ms()
    with ledger_of(config, data_dir) as ledger:
        known = list_vouchers(ledger)
    if as_json:
        print_json([_row(one, now) for one in known])
        return
    rows = [
        (
            f"…{one.hint}",
            money(one.amount),
            _state(one, now),
            "" if one.expires_at is None else when(one.expires_at),
            day(one.created_at),
            one.redeemed_by or "",
        )
        for one in known
    ]
    table(_COLUMNS, rows, empty="No vouchers yet. `komeet voucher create` makes one.")


def _state(one: Voucher, now: int) -> str:
    if one.redeemed_at is not None:
        return "redeemed"
    return "expired" if one.expires_at is not None and one.expires_at <= now else "open"


def _row(one: Voucher, now: int) -> dict[str, object]:
    return {
        "hint": one.hint,
        "amount": dollars(one.amount),
        "state": _state(one, now),
        "created_at": timestamp(one.created_at),
        "expires_at": timestamp(one.expires_at),
        "redeemed_at": timestamp(one.redeemed_at),
        "redeemed_by": one.redeemed_by,
    }
