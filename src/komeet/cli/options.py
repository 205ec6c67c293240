"""Options that several commands share; each may stand in the environment."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="KOMEET_CONFIG",
        help="Configuration file; without one: the environment.",
        show_default=False,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="KOMEET_DATA_DIR",
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
        min=0,
        max=65_535,
        help="Port that Komeet listens on.",
        show_default="4000",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
