"""`komeet org`, `komeet project`, `komeet user`: alike but for what they make."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from komeet.cli.options import AsJson, ConfigFile, DataDir, new_program
from komeet.cli.output import console, day, escape, fail, print_json, timestamp
from komeet.cli.setup import data_files, existing_files, where
from komeet.cli.table import Column, table
from komeet.core.clock import SystemClock
from komeet.store import people
from komeet.store.errors import StoreError
from komeet.store.people import Group, Member

_COLUMNS = (
    Column("name"),
    Column("organisation"),
    Column("state"),
    Column("made", rank=2),
    Column("id", rank=1, least=36),
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="For people; one of its kind in its organisation.")]
_Which = Annotated[str, typer.Argument(metavar="WHICH", help="Its name or its id.")]
_In = Annotated[str, typer.Option("--org", metavar="ORG", help="The organisation that it is in: its name or its id.")]
_MaybeIn = Annotated[
    str | None, typer.Option("--org", metavar="ORG", help="The organisation that it is in, where names do not tell.")
]
_All = Annotated[bool, typer.Option("--all", help="Archived ones too.")]


def people_program(group: Group) -> typer.Typer:
    """Return the commands of one group."""
    program = new_program(f"Make, list and archive {group}s.")
    if group is Group.ORGANISATION:
        _organisations(program)
    else:
        _in_organisations(program, group)

    @program.command(name="list")
    def list_(
        archived: _All = False, config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False
    ) -> None:
        """List them: names, organisations, ids."""
        try:
            with existing_files(config, data_dir) as files:
                known = [] if files is None else people.members(files.ledger, group)
        except StoreError as error:
            fail(str(error))
        shown = [one for one in known if archived or one.archived_at is None]
        if as_json:
            print_json([_row(one) for one in shown])
            return
        table(_COLUMNS, [_cells(one) for one in shown], empty=f"No {group}s yet.")

    return program


def _organisations(program: typer.Typer) -> None:
    @program.command()
    def create(name: _Name, config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
        """Make an organisation."""
        _create(Group.ORGANISATION, name, None, config, data_dir, as_json)

    @program.command()
    def archive(which: _Which, config: ConfigFile = None, data_dir: DataDir = None) -> None:
        """Refuse the calls of all its keys, within a second."""
        _archive(Group.ORGANISATION, which, None, config, data_dir)

    @program.command()
    def restore(which: _Which, config: ConfigFile = None, data_dir: DataDir = None) -> None:
        """Bring an archived organisation back."""
        _archive(Group.ORGANISATION, which, None, config, data_dir, back=True)


def _in_organisations(program: typer.Typer, group: Group) -> None:
    def create(
        name: _Name, org: _In, config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False
    ) -> None:
        _create(group, name, org, config, data_dir, as_json)

    def archive(which: _Which, org: _MaybeIn = None, config: ConfigFile = None, data_dir: DataDir = None) -> None:
        _archive(group, which, org, config, data_dir)

    def restore(which: _Which, org: _MaybeIn = None, config: ConfigFile = None, data_dir: DataDir = None) -> None:
        _archive(group, which, org, config, data_dir, back=True)

    program.command(help=f"Make a {group} in an organisation.")(create)
    program.command(help="Refuse the calls of all its keys, within a second.")(archive)
    program.command(help=f"Bring an archived {group} back.")(restore)


def _create(
    group: Group, name: str, org: str | None, config: Path | None, data_dir: Path | None, as_json: bool
) -> None:
    if not name.strip() or not name.isprintable():
        fail(f"{name!r}: give it some printable text")
    try:
        with data_files(config, data_dir) as files:
            made = people.create(files.ledger, SystemClock(), group, name, org)
    except StoreError as error:
        fail(str(error))
    if as_json:
        print_json(_row(made))
    else:
        console().print(escape(made.id))


def _archive(
    group: Group, which: str, org: str | None, config: Path | None, data_dir: Path | None, *, back: bool = False
) -> None:
    with ledger_of(config, data_dir) as ledger:
        done = people.archive(ledger, SystemClock(), group, which, org, restore=back)
    console().print(f"{'Restored' if back else 'Archived'}: {escape(done.name)} ({done.id})")


@contextmanager
def ledger_of(config: Path | None, data_dir: Path | None) -> Generator[Engine]:
    """Open the ledger of data that is there; what is wrong with it, or with what is asked, ends the command."""
    try:
        with existing_files(config, data_dir) as files:
            if files is None:
                fail(f"there is no data in {where(config, data_dir)} yet; `komeet key create` makes a first key")
            yield files.ledger
    except StoreError as error:
        fail(str(error))


def _cells(one: Member) -> tuple[str, ...]:
    state = "" if one.archived_at is None else "archived"
    of = "" if one.group is Group.ORGANISATION else one.organisation_name
    return (one.name, of, state, day(one.created_at), one.id)


def _row(one: Member) -> dict[str, object]:
    within = {} if one.group is Group.ORGANISATION else {
        "organisation": one.organisation, "organisation_name": one.organisation_name
    }  # fmt: skip
    return {
        "id": one.id,
        "name": one.name,
        **within,
        "created_at": timestamp(one.created_at),
        "archived_at": timestamp(one.archived_at),
    }
