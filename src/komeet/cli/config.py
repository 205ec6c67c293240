"""`komeet config`: check the file, print its schema."""

from pathlib import Path
from typing import Annotated

import typer

from komeet.cli.options import ConfigFile, new_program
from komeet.cli.output import console, escape, fail, print_json
from komeet.cli.setup import read
from komeet.config.load import schema

program = new_program("Check the configuration file; print its schema.")


@program.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The file; default: --config.", show_default=False)
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Check a configuration, and name its first mistake."""
    path = file or config
    if path is None:
        fail("name a file: komeet config check komeet.yaml")
    names = ", ".join(provider.name for provider in read(path, None).found.providers) or "none"
    console().print(escape(f"{path}: no mistakes. Providers: {names}"))


@program.command(name="schema")
def print_schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    print_json(schema())
