"""`komeet serve`."""

import contextlib
import shlex
import shutil
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from komeet.cli.options import ConfigFile, DataDir, Port
from komeet.cli.output import console, escape, fail
from komeet.cli.setup import Setup, read
from komeet.store.errors import StoreError
from komeet.telemetry.logs import configure

program = typer.Typer(add_completion=False)


@program.command()
def serve(
    config: ConfigFile = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Port = None,
    data_dir: DataDir = None,
) -> None:
    """Start Komeet."""
    setup = read(config, data_dir)
    configure(setup.config.log.level, setup.config.log.format)
    listener = _listen(host or setup.config.server.host, setup.config.server.port if port is None else port)
    from komeet import app  # noqa: PLC0415 - most commands need none of it

    try:
        gateway = app.Gateway(setup.config, setup.data_dir, setup.found.providers)
    except StoreError as error:
        fail(str(error))
    with contextlib.suppress(KeyboardInterrupt):
        app.serve(gateway, setup.config, listener, lambda: _greet(setup, listener, gateway.orphans))
    console().print("Stopped; everything is settled.")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        hint = "; --port takes another one" if error.errno in {98, 48, 13} else ""
        fail(f"cannot listen on {host} port {port}: {error.strerror or error}{hint}")


def _greet(setup: Setup, listener: socket.socket, orphans: int) -> None:
    """Say where it listens, what it found, and what to paste."""
    host, port = listener.getsockname()[:2]
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else f"[{host}]" if ":" in host else host  # noqa: S104 - compared
    url = f"http://{shown}:{port}/v1"
    terminal = console()
    say = terminal.print
    say(f"[bold]Komeet[/bold] listens on [bold]{url}[/bold]  (data: {escape(str(setup.data_dir))})")
    names = [provider.name for provider in setup.found.providers]
    say(f"Providers: {escape(', '.join(names) or 'none')}")
    say(f"[dim]`{escape(_command())} doctor` says what else could answer, and what it lacks.[/dim]")
    if orphans:
        say(f"[yellow]{orphans} calls were under way when Komeet last ended; their holds stay (orphans).[/yellow]")
    model = "smollm2-135m" if "local" in names else "gpt-5.2"
    say(f"""
A key, then a first call (in another terminal):

  export KOMEET_API_KEY=$({escape(_command())} key create --name me)
  curl {url}/chat/completions \\
    -H "Authorization: Bearer $KOMEET_API_KEY" -H "Content-Type: application/json" \\
    -d '{{"model": "{model}", "messages": \\[{{"role": "user", "content": "What is a comet?"}}], "max_tokens": 80}}'
""")


def _command() -> str:
    """The command as it was called, so that what is shown can be pasted."""
    program = Path(sys.argv[0])
    if program.name != "komeet":
        return f"{shlex.quote(sys.executable)} -m komeet"
    found = shutil.which("komeet")
    if found is not None and Path(found).resolve() == program.resolve():
        return "komeet"
    try:
        return shlex.quote(str(program.absolute().relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(program.absolute()))
