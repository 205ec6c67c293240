"""`komeet restore`."""

from pathlib import Path
from typing import Annotated

import typer

from komeet.cli.options import ConfigFile, DataDir, new_program
from komeet.cli.output import console, escape, fail
from komeet.cli.setup import places
from komeet.store.errors import StoreError
from komeet.store.restore import restore as put_back

program = new_program()


@program.command()
def restore(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="What `komeet backup` made.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace the databases that are there: they are lost.")
    ] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Put a backup into a data directory that no server uses.

    All of it is checked before anything changes; then it is there whole, or not at all. Budgets know nothing of what
    was spent after the backup, keys that were made after it are gone, and those revoked after it are valid again.
    """
    place, databases = places(config, data_dir)
    if databases.shared and not databases.requests_are_local:
        fail("keys, ledger and request log are on PostgreSQL (`ledger.database`): pg_restore puts them back")
    try:
        manifest = put_back(archive, place, force=force)
    except StoreError as error:
        fail(str(error))
    files = " and ".join(entry.name for entry in manifest.files)
    console().print(escape(f"{place}: {files} as of {manifest.at}, from Komeet {manifest.komeet}"))
