"""`komeet chat`."""

import os
import socket
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Annotated, Any

import typer
from msgspec.structs import replace

from komeet.cli.chat_key import ChatKey, chat_key
from komeet.cli.client import End, Piece, Refused, Seen, look, models, stream
from komeet.cli.options import ConfigFile, DataDir, Port, new_program
from komeet.cli.output import console, escape, fail, money, printable
from komeet.cli.place import Place, place_of
from komeet.cli.setup import Setup, databases_of, read
from komeet.config.load import ConfigError
from komeet.store.database import DataFiles, Store
from komeet.store.errors import StoreError
from komeet.store.receipt import Receipt, receipts
from komeet.telemetry.logs import configure

_PATIENCE = 3.0
"""Seconds that the ledger may take to write the end of a call."""
_PREFERRED = ("gpt-5.2", "smollm2-135m")


program = new_program()


@program.command()
def chat(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to say; `-` reads it from standard input.")],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="MODEL", help="Who answers.", show_default="the first there is"),
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", "-s", metavar="TEXT", help="A system message first.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most tokens of the answer.")] = None,
    config: ConfigFile = None,
    port: Port = None,
    data_dir: DataDir = None,
) -> None:
    """Ask one question; the answer streams to the terminal.

    Tokens, cost and time follow on standard error. Asks the Komeet that runs on this machine, or runs one for as long
    as the answer takes. The key is KOMEET_API_KEY, or one that is made for this command and kept in the data directory.
    """
    configure("error", "text")
    setup = read(config, data_dir)
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        fail("the prompt is empty")
    messages = [{"role": "user", "content": text}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    call: dict[str, Any] = {"messages": messages}
    if max_tokens is not None:
        call["max_tokens"] = max_tokens
    try:
        with ExitStack() as stack:
            place = stack.enter_context(_place(setup, port))
            files = stack.enter_context(closing(Store.open_for_cli(setup.data_dir, databases_of(setup.config))))
            key = _key(files, setup)
            try:
                call["model"] = model or _first(models(place, key.secret.reveal()))
                _converse(files, place, key, call)
            except Refused as error:
                fail(_explain(error, key, place.url))
    except StoreError as error:
        fail(str(error))


def _key(files: DataFiles, setup: Setup) -> ChatKey:
    try:
        return chat_key(files, setup.data_dir, os.environ)
    except OSError as error:
        fail(f"the key of this command cannot be kept in {setup.data_dir}: {error.strerror or error}")


def _first(names: Sequence[str]) -> str:
    if not names:
        fail("no model is known by name; -m names one, and `komeet doctor` says which providers there are")
    return next((name for name in _PREFERRED if name in names), names[0])


def _explain(error: Refused, key: ChatKey, url: str) -> str:
    if error.status != 401:
        return str(error)
    if key.given:
        return f"{error} (It is the value of KOMEET_API_KEY; without that, this command makes a key of its own.)"
    return (
        f"the Komeet at {url} does not know the keys of this data directory, so it runs with another one;"
        " --data-dir names it, or KOMEET_API_KEY holds a key"
    )


@contextmanager
def _place(setup: Setup, port: int | None) -> Generator[Place]:
    """Where the running Komeet is, or one that runs within the context."""
    place = place_of(setup.config.server, port)
    seen = look(place)
    if seen is Seen.KOMEET:
        yield place
        return
    if seen is Seen.UNTRUSTED:
        fail(f"{place.url} shows another certificate than that of `server.tls.cert_file`; no key is sent there")
    from komeet import app  # noqa: PLC0415 - most commands need none of it
    from komeet.serving.server import serving  # noqa: PLC0415 - the same

    # For this answer alone: in the clear on this machine, and without a proxy before it.
    config = replace(setup.config, server=replace(setup.config.server, tls=None, trusted_proxies=()))
    try:
        gateway = app.Gateway(config, setup.data_dir, setup.found.providers)
    except (StoreError, ConfigError) as error:
        fail(f"no Komeet answers at {place.url} (--port says where), and none can be run for this answer: {error}")
    with socket.create_server(("127.0.0.1", 0)) as listener, serving(gateway, config.server.drain_seconds, listener):
        yield Place(url=f"http://127.0.0.1:{listener.getsockname()[1]}")


def _converse(files: DataFiles, place: Place, key: ChatKey, call: dict[str, Any]) -> None:
    started = time.perf_counter()
    first: float | None = None
    end: End | None = None
    try:
        for piece in _awaited(stream(place, key.secret.reveal(), call), str(call["model"])):
            match piece:
                case Piece(text):
                    first = first or time.perf_counter() - started
                    sys.stdout.write(printable(text, "\n\t"))
                    sys.stdout.flush()
                case End():
                    end = piece
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        if first is not None:
            sys.stdout.write("\n")
            sys.stdout.flush()
    if end is not None:
        seconds = time.perf_counter() - started
        found = _receipt(files, end.request_id) if key.known else None
        line = f"{_name(end, found, call)}: {_tokens(end)}, {_cost(found, key)}, {_times(end, first, seconds)}"
        console(stderr=True).print(f"[dim]{escape(line)}[/dim]")


def _awaited(pieces: Iterator[Piece | End], model: str) -> Iterator[Piece | End]:
    """Show that something is being waited for, until the first piece is there; on a terminal only."""
    notes = console(stderr=True)
    if notes.is_terminal and sys.stdout.isatty():
        with notes.status(f"waiting for {escape(model)}"):
            first = next(pieces, None)
    else:
        first = next(pieces, None)
    if first is not None:
        yield first
        yield from pieces


def _receipt(files: DataFiles, request_id: str) -> Receipt | None:
    """What the ledger says of the request; it is written just after the answer has ended."""
    end = time.perf_counter() + _PATIENCE
    while not (found := receipts(files.ledger, request_id)) and time.perf_counter() < end:
        time.sleep(0.02)
    return found[-1] if found else None


def _name(end: End, found: Receipt | None, call: dict[str, Any]) -> str:
    if found is not None:
        return f"{found.provider}/{found.model}"
    return f"{end.provider}/{str(call['model']).removeprefix(end.provider + '/')}"


def _tokens(end: End) -> str:
    prompt = "?" if end.input is None else f"{end.input:,}"
    answer = "?" if end.output is None else f"{end.output:,}"
    cut = " (cut at the limit)" if end.finish == "length" else ""
    return f"{prompt} + {answer} tokens{cut}"


def _cost(found: Receipt | None, key: ChatKey) -> str:
    if found is None:
        return "cost not known yet" if key.known else "its cost is in another ledger"
    if found.unpriced:
        return "price not known"
    return money(found.cost) + (" (estimated)" if found.estimated else "")


def _times(end: End, first: float | None, seconds: float) -> str:
    if first is None:
        return f"{seconds:.2f} s"
    more, rest = (end.output or 0) - 1, seconds - first
    rate = f", then {more / rest:.0f} tokens/s" if more > 0 and rest > 0 else ""
    return f"{seconds:.2f} s (first after {first:.2f} s{rate})"
