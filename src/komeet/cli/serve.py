"""`komeet serve`."""

import contextlib
import errno
import os
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from komeet.cli.client import is_up
from komeet.cli.options import ConfigFile, DataDir, Port, new_program
from komeet.cli.output import console, escape, fail, warn
from komeet.cli.place import base_url, place_of
from komeet.cli.setup import Setup, read
from komeet.config.load import ConfigError, default_data_dir
from komeet.config.schema import Console, Server
from komeet.local.weights import SMOLLM2
from komeet.store.errors import StoreError
from komeet.telemetry.logs import configure

CONSOLE_PORT: Final = 4001
"""Where nobody names another."""
_TO_ANOTHER_PORT: Final = frozenset({errno.EADDRINUSE, errno.EACCES})

program = new_program()


@program.command()
def serve(
    config: ConfigFile = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Port = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=256, help="Processes that answer calls.", show_default="as many as cores, at most 4"
        ),
    ] = None,
    console_port: Annotated[
        int | None,
        typer.Option(
            "--console-port",
            envvar="KOMEET_CONSOLE_PORT",
            metavar="PORT",
            min=0,
            max=65_535,
            help="Port of the console, on this machine.",
            show_default="4001, if it is free",
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Start Komeet."""
    setup = read(config, data_dir)
    configure(setup.config.log.level, setup.config.log.format)
    port = setup.config.server.port if port is None else port
    with contextlib.ExitStack() as open_:
        listener = open_.enter_context(_listen(setup.config.server, host or setup.config.server.host, port))
        console_ = _listen_for_console(setup.config.console, console_port, free=port == 0)
        if console_ is not None:
            open_.enter_context(console_)
        from komeet.serving.process import StartError  # noqa: PLC0415 - most commands need none of it
        from komeet.serving.run import Sockets, run  # noqa: PLC0415 - the same
        from komeet.serving.settings import Source  # noqa: PLC0415 - the same

        source = Source(setup.config_file, workers)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # while the server runs, the signal is its own
        try:
            run(
                Sockets(calls=listener, console=console_),
                setup.data_dir,
                source,
                source.settings(setup.config_text),
                lambda ready, orphans: _greet(setup, listener, console_, ready.example, orphans),
            )
        except (StoreError, ConfigError, StartError) as error:
            fail(str(error))
        except KeyboardInterrupt:
            pass  # before there was anything to settle
    console().print("Stopped; everything is settled.")


def _listen(wanted: Server, host: str, port: int) -> socket.socket:
    try:
        return _bound(host, port)
    except OSError as error:
        why = _reason(error)
        if error.errno == errno.EADDRINUSE:
            why = f"{'a Komeet' if is_up(place_of(wanted, port, host)) else 'another program'} listens there already"
        hint = "; --port takes another port" if error.errno in _TO_ANOTHER_PORT else ""
        fail(f"cannot listen on {host} port {port}: {why}{hint}")


def _listen_for_console(wanted: Console, asked: int | None, *, free: bool) -> socket.socket | None:
    """Return the console's socket; None where there is to be none, or the port that nobody asked for is not free."""
    if not wanted.enabled:
        if asked is not None:
            fail("--console-port: the configuration switches the console off (`console.enabled`)")
        return None
    named = wanted.port if asked is None else asked
    port = named if named is not None else 0 if free else CONSOLE_PORT
    try:
        return _bound(wanted.host, port)
    except OSError as error:
        why = "another program listens there already" if error.errno == errno.EADDRINUSE else _reason(error)
        place = f"{wanted.host} port {port}"
        if named is not None:
            hint = "; --console-port takes another port" if error.errno in _TO_ANOTHER_PORT else ""
            fail(f"the console cannot listen on {place}: {why}{hint}")
        warn(f"there is no console: {place}: {why}; --console-port takes another port")
        return None


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def _reason(error: OSError) -> str:
    code = error.errno or 0
    return os.strerror(code) if code > 0 else "no such address"  # below 0: the name could not be looked up


def _greet(
    setup: Setup, listener: socket.socket, console_: socket.socket | None, example: str | None, orphans: int
) -> None:
    """Say where it listens, what it found, and what to paste."""
    url = base_url(*listener.getsockname()[:2], tls=setup.config.server.tls is not None) + "/v1"
    command = escape(_command())
    say = console().print
    say(f"[bold]Komeet[/bold] listens on [bold]{url}[/bold]  (data: {escape(str(setup.data_dir))})")
    names = [provider.name for provider in setup.found.providers]
    say(f"Providers: {escape(', '.join(names) or 'none')}  [dim](`{command} doctor` says which there could be)[/dim]")
    if console_ is not None:
        say(f"Console: {base_url(*console_.getsockname()[:2])}/  [dim](how everything stands; for this machine)[/dim]")
    if orphans:
        say(f"[yellow]{_under_way(orphans)}[/yellow]")
    say(f"""
A key, then a first call (in another terminal):

  export KOMEET_API_KEY=$({command} key create --name me{escape(_same_data(setup))})
  curl {url}/chat/completions \\
    -H "Authorization: Bearer $KOMEET_API_KEY" -H "Content-Type: application/json" \\
    -d '{{"model": "{_example(example, names)}", "messages": \\[{{"role": "user", "content": "What is a comet?"}}], \
"max_tokens": 80}}'
""")


def _under_way(count: int) -> str:
    if count == 1:
        return "1 call was under way when Komeet last ended; its hold stays (an orphan)."
    return f"{count:,} calls were under way when Komeet last ended; their holds stay (orphans)."


def _example(listed: str | None, providers: Sequence[str]) -> str:
    """A model that would answer: the embedded one if it is there, since it needs no account."""
    if "local" in providers:
        return SMOLLM2.model
    return listed or f"{providers[0] if providers else 'PROVIDER'}/MODEL"


def _same_data(setup: Setup) -> str:
    """The option that leads another terminal to the same data directory, where it would go elsewhere."""
    return "" if setup.data_dir == default_data_dir(os.environ).absolute() else f" --data-dir {_quoted(setup.data_dir)}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _command() -> str:
    """The command as another terminal can call it: the environment that `uv run` or `activate` made is this one's."""
    program = Path(sys.argv[0])
    if program.name != "komeet":
        return f"{shlex.quote(sys.executable)} -m komeet"
    program = program if program.is_file() else Path(shutil.which("komeet") or program)
    with contextlib.suppress(ValueError):
        return shlex.quote(str(program.absolute().relative_to(Path.cwd())))
    found = shutil.which("komeet", path=_path_of_other_terminals())
    if found is not None and Path(found).resolve() == program.resolve():
        return "komeet"
    return _quoted(program.absolute())


def _path_of_other_terminals() -> str:
    mine = os.environ.get("VIRTUAL_ENV")
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if mine is None or Path(folder).parent != Path(mine))
