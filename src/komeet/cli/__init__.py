"""The command line: `komeet --help`."""


def main() -> None:
    """Run one command."""
    from komeet.cli.commands import program  # noqa: PLC0415 - `import komeet.cli` stays cheap for whoever only asks a name

    program()
