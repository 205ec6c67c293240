"""`komeet config`: check the file, print its schema."""

import os
from pathlib import Path
from typing import Annotated

import typer

from komeet.cli.options import ConfigFile, new_program
from komeet.cli.output import console, escape, fail, print_json
from komeet.config.load import ConfigError, load, schema
from komeet.config.providers import find

program = new_program("Check the configuration file; print its schema.")


@program.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The file; default: --config.", show_default=False)
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Say whether a configuration can be used, or where its first mistake is."""
    path = file or config
    if path is None:
        fail("name a file: komeet config check komeet.yaml")
    try:
        found = find(load(path, os.environ), os.environ)
    except ConfigError as error:
        fail(str(error))
    names = ", ".join(provider.name for provider in found.providers) or "none"
    console().print(escape(f"{path}: no mistakes. Providers: {names}"))


@program.command(name="schema")
def print_schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    print_json(schema())
