"""`komeet backup`."""

from pathlib import Path
from typing import Annotated

import typer

from komeet import __version__
from komeet.cli.options import ConfigFile, DataDir, new_program
from komeet.cli.output import console, escape, fail
from komeet.cli.setup import places
from komeet.core.clock import SystemClock
from komeet.store.backup import back_up
from komeet.store.engine import LEDGER_FILE, REQUESTS_FILE
from komeet.store.errors import StoreError

_ELSEWHERE = (
    "Keys and ledger are on PostgreSQL (`ledger.database`), whose own tools back them up: `pg_dump --format=custom`, "
    "or a base backup with its log. They are not in this file."
)

program = new_program()


@program.command()
def backup(
    target: Annotated[
        Path, typer.Argument(metavar="FILE", help="A new file; or a folder, where it is named by its time.")
    ],
    without_requests: Annotated[
        bool, typer.Option("--without-requests", help="Leave out the request log, and with it every prompt.")
    ] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Back up keys, ledger and request log; a server may be running.

    What is on PostgreSQL is backed up by its own tools (pg_dump), not by this.

    The file is read again and checked before it gets its name, which is printed, alone, on standard output.
    """
    place, databases = places(config, data_dir)
    wanted = [*([] if databases.shared else [LEDGER_FILE])]
    if databases.requests_are_local and not without_requests:
        wanted.append(REQUESTS_FILE)
    if databases.shared:
        console(stderr=True).print(escape(_ELSEWHERE))
    if not wanted:
        fail("nothing that is to be backed up is in the data directory")
    try:
        path, manifest = back_up(place, target, SystemClock(), version=__version__, wanted=wanted)
    except StoreError as error:
        fail(str(error))
    files = ", ".join(f"{entry.name} ({entry.bytes:,} bytes, {entry.schema})" for entry in manifest.files)
    console(stderr=True).print(escape(f"{place}: {files}; {path.stat().st_size:,} bytes, checked"))
    if manifest.behind:
        console(stderr=True).print(
            f"Of {manifest.behind} processes that were killed, or cannot write, the last records are not in it: when"
            " Komeet has started, it has settled them, and another backup has all."
        )
    console().print(escape(str(path)))
