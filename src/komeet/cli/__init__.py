"""The command line: `komeet --help`."""

import sys
from io import TextIOWrapper


def main() -> None:
    """Run one command."""
    from komeet.cli.commands import program  # noqa: PLC0415 - `import komeet.cli` stays cheap for whoever only asks a name

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign shows another, and no traceback
    program()
