"""`komeet backup`."""

from pathlib import Path
from typing import Annotated

import typer

from komeet import __version__
from komeet.cli.options import ConfigFile, DataDir, new_program
from komeet.cli.output import console, escape, fail
from komeet.cli.setup import where
from komeet.core.clock import SystemClock
from komeet.store.backup import back_up
from komeet.store.errors import StoreError

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

    The file is read again and checked before it gets its name, which is printed, alone, on standard output.
    """
    place = where(config, data_dir)
    try:
        path, manifest = back_up(place, target, SystemClock(), version=__version__, requests=not without_requests)
    except StoreError as error:
        fail(str(error))
    files = ", ".join(f"{entry.name} ({entry.bytes:,} bytes, {entry.schema})" for entry in manifest.files)
    console(stderr=True).print(escape(f"{place}: {files}; {path.stat().st_size:,} bytes, checked"))
    console().print(escape(str(path)))
