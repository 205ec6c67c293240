"""Writes the reference page of the command line from its help: `python -m komeet.cli.reference`."""

import sys
from importlib import import_module
from typing import Any

from typer.main import get_command

from komeet.cli.commands import COMMANDS, module_of

_HEAD = """# Command line

<!-- Written by `make docs` from src/komeet/cli. -->

`komeet COMMAND --help` says the same. `--config`, `--data-dir` and `--port` may stand in the environment as
`KOMEET_CONFIG`, `KOMEET_DATA_DIR` and `KOMEET_PORT`; `--json` prints for programs what is a table for people. A command
that fails says why on standard error and ends with status 1; a mistake in its options ends with status 2.
"""


def page() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD]
    for name in COMMANDS:
        command: Any = get_command(import_module(module_of(name)).program)
        subcommands: dict[str, Any] = getattr(command, "commands", {})
        if subcommands:
            if command.invoke_without_command:
                parts.append(_section(f"komeet {name}", command))
            parts += [_section(f"komeet {name} {below}", inner) for below, inner in subcommands.items()]
        else:
            parts.append(_section(f"komeet {name}", command))
    return "\n".join(parts)


def _section(title: str, command: Any) -> str:
    lines = [f"## `{title}`", "", " ".join(str(command.help).split("\f", 1)[0].split()), ""]
    rows = [_row(parameter) for parameter in command.params if parameter.name != "help"]
    if rows:
        lines += ["| argument or option | default | meaning |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(lines)


def _row(parameter: Any) -> str:
    value = parameter.metavar
    if parameter.param_type_name == "argument":
        names = f"`{value}`"
    else:
        names = ", ".join(f"`{name} {value}`".replace(" `", "`") for name in parameter.opts)
    return f"| {names} | {_default(parameter)} | {parameter.help or ''} |"


def _default(parameter: Any) -> str:
    shown = parameter.show_default
    if isinstance(shown, str):
        return shown
    if parameter.required:
        return "needed"
    if parameter.default in {None, False, ""} or not shown:
        return "–"
    return f"`{parameter.default}`"


if __name__ == "__main__":
    sys.stdout.write(page())
