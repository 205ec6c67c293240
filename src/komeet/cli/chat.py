"""`komeet chat`."""

import os
import socket
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from komeet.access.keys import digest
from komeet.cli.client import End, Piece, Refused, is_up, stream
from komeet.cli.options import ConfigFile, DataDir, Port
from komeet.cli.output import escape, fail, money
from komeet.cli.setup import Setup, read
from komeet.core.clock import SystemClock
from komeet.store.database import Store
from komeet.store.errors import StoreError
from komeet.store.keys import create_key, list_keys
from komeet.store.receipt import receipts
from komeet.telemetry.logs import configure

_PATIENCE = 3.0
"""Seconds that the ledger may take to write the end of a call."""


program = typer.Typer(add_completion=False)


@program.command()
def chat(
    prompt: Annotated[str, typer.Argument(help="What to say; `-` reads it from standard input.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Who answers.", show_default="the first there is")
    ] = None,
    system: Annotated[str | None, typer.Option("--system", "-s", help="A system message before it.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens of the answer.")] = None,
    config: ConfigFile = None,
    port: Port = None,
    data_dir: DataDir = None,
) -> None:
    """Ask one question; the answer streams to the terminal, then tokens, cost and time.

    Asks the Komeet that runs on this machine, or runs one for as long as the answer takes. The key is KOMEET_API_KEY,
    or one that is made for this command and kept in the data directory.
    """
    setup = read(config, data_dir)
    text = sys.stdin.read() if prompt == "-" else prompt
    messages = [{"role": "user", "content": text}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    call: dict[str, Any] = {"model": model or _first_model(setup), "messages": messages}
    if max_tokens is not None:
        call["max_tokens"] = max_tokens
    with _url(setup, setup.config.server.port if port is None else port) as url:
        _converse(setup, url, call)


def _first_model(setup: Setup) -> str:
    from komeet.app import directory  # noqa: PLC0415 - most commands need none of it

    listed = directory(setup.data_dir, setup.found.providers).listing()
    if not listed:
        fail("no model is available; `komeet doctor` says what is missing")
    preferred = ("gpt-5.2", "smollm2-135m")
    return next((name for name in preferred if any(one.id == name for one in listed)), listed[0].id)


@contextmanager
def _url(setup: Setup, port: int) -> Generator[str]:
    """The address of the running Komeet, or of one that runs within the context."""
    if is_up(f"http://127.0.0.1:{port}"):
        yield f"http://127.0.0.1:{port}"
        return
    from komeet import app  # noqa: PLC0415

    configure("error", "text")
    try:
        gateway = app.Gateway(setup.config, setup.data_dir, setup.found.providers)
    except StoreError as error:
        fail(str(error))
    with socket.create_server(("127.0.0.1", 0)) as listener, app.serving(gateway, setup.config, listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _converse(setup: Setup, url: str, call: dict[str, Any]) -> None:
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    started = time.perf_counter()
    first: float | None = None
    try:
        for piece in stream(url, _key(setup), call):
            match piece:
                case Piece(text):
                    first = first or time.perf_counter() - started
                    sys.stdout.write(_printable(text))
                    sys.stdout.flush()
                case End():
                    sys.stdout.write("\n")
                    seconds = time.perf_counter() - started
                    notes.print(f"[dim]{escape(_summary(setup, call['model'], piece, first, seconds))}[/dim]")
    except Refused as error:
        fail(str(error))


def _printable(text: str) -> str:
    """Keep what a model writes from driving the terminal."""
    return "".join(sign for sign in text if sign.isprintable() or sign in "\n\t")


def _summary(setup: Setup, model: str, end: End, first: float | None, seconds: float) -> str:
    tokens = "?" if end.output is None else str(end.output)
    prompt = "?" if end.input is None else str(end.input)
    rate = f", {end.output / seconds:.0f} tokens/s" if end.output and seconds else ""
    early = f", first after {first:.2f} s" if first is not None else ""
    cost = _cost(setup, end.request_id)
    return f"{model} by {end.provider}: {prompt} + {tokens} tokens, {cost}, {seconds:.2f} s{early}{rate}"


def _cost(setup: Setup, request_id: str) -> str:
    """What the ledger says of the request; it is written just after the answer has ended."""
    with closing(Store.open_for_cli(setup.data_dir)) as files:
        end = time.perf_counter() + _PATIENCE
        while not (found := receipts(files.ledger, request_id)) and time.perf_counter() < end:
            time.sleep(0.02)
    if not found:
        return "cost not known yet"
    last = found[-1]
    if last.unpriced:
        return "unpriced"
    return money(last.cost) + (" (estimated)" if last.estimated else "")


def _key(setup: Setup) -> str:
    """Return KOMEET_API_KEY, or this command's own key: whoever reads the data directory could make one anyway."""
    given = os.environ.get("KOMEET_API_KEY")
    if given:
        return given
    path = setup.data_dir / "cli.key"
    with closing(Store.open_for_cli(setup.data_dir)) as files:
        if path.exists():
            kept = path.read_text("ascii").strip()
            known = {key.digest for key in list_keys(files.ledger) if key.revoked_at is None}
            if digest(kept) in known:
                return kept
        _, secret = create_key(files.ledger, SystemClock(), name="komeet chat")
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(secret.reveal() + "\n", "ascii")
    return secret.reveal()
