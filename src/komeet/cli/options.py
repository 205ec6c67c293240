"""What commands share: how their help looks, and options that may stand in the environment."""

from pathlib import Path
from typing import Annotated

import typer


def new_program(help: str | None = None) -> typer.Typer:  # noqa: A002 - as typer calls it
    """Return an empty program whose help is plain text, in the terminal's own width; `help` is that of a group."""
    return typer.Typer(help=help, no_args_is_help=help is not None, add_completion=False, rich_markup_mode=None)


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="KOMEET_CONFIG",
        metavar="FILE",
        help="Configuration file; without one: the environment.",
        show_default=False,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="KOMEET_DATA_DIR",
        metavar="DIR",
        help="Where keys, ledger and logs are kept.",
        show_default="~/.local/share/komeet",
    ),
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        "-p",
        envvar="KOMEET_PORT",
        metavar="PORT",
        min=0,
        max=65_535,
        help="Port that Komeet listens on.",
        show_default="4000",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
