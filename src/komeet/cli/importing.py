"""`komeet import`: the configuration of another gateway, made into Komeet's."""

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from komeet.catalog.compile import compile_book
from komeet.cli.options import AsJson, new_program
from komeet.cli.output import console, escape, fail, print_json, warn
from komeet.cli.table import Column, table
from komeet.lab.imports import litellm as from_litellm
from komeet.lab.imports import new_api as from_new_api
from komeet.lab.imports.channels import Family
from komeet.lab.imports.found import KINDS, Imported, ImportFailed
from komeet.lab.imports.source import read_json, read_yaml
from komeet.lab.imports.write import written
from komeet.providers import registry
from komeet.providers.registry import Row
from komeet.store.errors import StoreError
from komeet.store.foreign import is_sqlite_file, read_tables

_COLUMNS = (Column("", least=7), Column("where", least=24), Column("what", least=32))
_OWNER_ONLY = 0o600

program = new_program("Come from another gateway: its configuration, made anew.")

Source = Annotated[Path, typer.Argument(metavar="FILE", help="Its configuration: YAML.")]
Database = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="Its database (`one-api.db`), or channels in JSON: a list, or what its API says."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="Where the configuration is written; it must not be there. Default: it is printed.",
    ),
]


@program.command()
def litellm(file: Source, out: Out = None, as_json: AsJson = False) -> None:
    """Read a configuration of LiteLLM's proxy.

    Each key of it is in the report: what means the same, what differs, what Komeet does not have. Keys of providers are
    never written nor printed: they become variables of the environment, which the report lists.
    """
    rows = registry.load()
    try:
        imported = from_litellm.read(read_yaml(_text(file)), rows, _owner(rows))
    except ImportFailed as error:
        fail(f"{file}: {error}")
    _report(imported, file, out, as_json=as_json)


@program.command(name="new-api")
def new_api(source: Database, out: Out = None, as_json: AsJson = False) -> None:
    """Read the channels and ratios of New API.

    From its SQLite database, or an export of channels in JSON. Nothing is changed there. Keys of channels are never
    written nor printed: they become variables of the environment.
    """
    _report(_of_channels(source, "new"), source, out, as_json=as_json)


@program.command(name="one-api")
def one_api(source: Database, out: Out = None, as_json: AsJson = False) -> None:
    """Read the channels and ratios of One API.

    From its SQLite database, or an export of channels in JSON. Nothing is changed there. Keys of channels are never
    written nor printed: they become variables of the environment.
    """
    _report(_of_channels(source, "one"), source, out, as_json=as_json)


def _of_channels(source: Path, family: Family) -> Imported:
    try:
        return from_new_api.read(_dump(source), family, registry.load())
    except (ImportFailed, StoreError) as error:
        fail(str(error) if isinstance(error, StoreError) else f"{source}: {error}")
    except OSError as error:
        fail(f"{source}: {error.strerror or error}")


def _dump(source: Path) -> from_new_api.Dump:
    if not is_sqlite_file(source):
        return from_new_api.dump_of(read_json(_text(source)))
    found = read_tables(source, ("channels", "options"))
    if not found.rows["channels"]:
        raise ImportFailed("the database has no channels")
    options = from_new_api.options_of(found.rows["options"])
    return from_new_api.Dump(channels=found.rows["channels"], options=options, counts=found.counts)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except OSError as error:
        fail(f"{file}: {error.strerror or error}")
    except UnicodeDecodeError:
        fail(f"{file}: not UTF-8 text")


def _owner(rows: Mapping[str, Row]) -> Callable[[str], Row | None]:
    """Return who makes a model of a bare name; the price book is read when it is first asked."""
    book = cache(compile_book)

    def owner(model: str) -> Row | None:
        maker = book().owner(model)
        return None if maker is None else next((row for row in rows.values() if row.price_id == maker), None)

    return owner


def _report(imported: Imported, file: Path, out: Path | None, *, as_json: bool) -> None:
    text = written(imported, file.name)
    if out is not None:
        _write(out, text)
    if as_json:
        print_json(
            {
                "config": text,
                "findings": [{"kind": each.kind, "path": each.path, "says": each.says} for each in imported.findings],
                "variables": [
                    {"name": each.name, "why": each.why, "was_in_the_file": each.literal} for each in imported.variables
                ],
            }
        )
        return
    rows = [(kind, each.path, each.says) for kind in KINDS for each in imported.findings if each.kind == kind]
    if out is None:
        console().print(escape(text))
    table(_COLUMNS, rows, empty="There is nothing in it.")
    for each in imported.variables:
        held = " (its value is in the file: it is not repeated)" if each.literal else ""
        console().print(escape(f"set {each.name}: {each.why}{held}"))
    if out is not None:
        console().print(escape(f"{out}: written. `komeet config check {out}` checks it, with the variables set."))
    elif not imported.config.get("providers"):
        warn("no provider of it can be asked by Komeet")


def _write(out: Path, text: str) -> None:
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        fail(f"{out} is there already; name another file, or remove it")
    except OSError as error:
        fail(f"{out}: {error.strerror or error}")
