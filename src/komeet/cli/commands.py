"""The program: its commands, and what they share."""

from typing import Annotated

import typer

from komeet.cli import chat, config, doctor, key, model, models, serve, usage

program = typer.Typer(
    name="komeet",
    help="One OpenAI-compatible address and one key in front of every model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
program.command("serve")(serve.serve)
program.add_typer(key.program, name="key")
program.command("models")(models.models)
program.command("chat")(chat.chat)
program.command("usage")(usage.usage)
program.command("doctor")(doctor.doctor)
program.add_typer(config.program, name="config")
program.add_typer(model.program, name="model")


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
