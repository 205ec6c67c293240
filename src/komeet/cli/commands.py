"""The program: its commands, each imported when it is called."""

import difflib
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

COMMANDS = (
    "serve",
    "chat",
    "key",
    "org",
    "project",
    "user",
    "budget",
    "credit",
    "voucher",
    "models",
    "explain",
    "usage",
    "ledger",
    "reconcile",
    "doctor",
    "drill",
    "config",
    "import",
    "model",
    "backup",
    "restore",
    "health",
)
"""In the order in which help lists them."""


def module_of(name: str) -> str:
    """Return the module that has the `program` of a command: of its own name, but for what Python keeps to itself."""
    return f"komeet.cli.{'importing' if name == 'import' else name}"


class Commands(TyperGroup):
    """Imports a command's module when the command is asked for: the database alone takes a third of a second."""

    def list_commands(self, ctx: object) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            close = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            ctx.fail(f"No such command {cmd_name!r}." + (f" Did you mean {close[0]!r}?" if close else ""))
        command = get_command(import_module(module_of(cmd_name)).program)
        command.name = cmd_name
        return command


program = typer.Typer(
    name="komeet",
    cls=Commands,
    help="One OpenAI-compatible address and one key in front of every model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from komeet import __version__  # noqa: PLC0415 - reads the package's metadata

        typer.echo(f"komeet {__version__}")
        raise typer.Exit


@program.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Take what stands before the command."""
    del version
