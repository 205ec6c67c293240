"""`komeet explain`."""

import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from komeet.cli.chat_key import chat_key
from komeet.cli.client import Refused, explain, is_up
from komeet.cli.explain_past import explain_past
from komeet.cli.options import AsJson, ConfigFile, DataDir, Port, new_program
from komeet.cli.output import console, escape, fail, money, print_json
from komeet.cli.place import place_of
from komeet.cli.setup import Setup, databases_of, read
from komeet.cli.table import Column, table
from komeet.core.money import Nano
from komeet.store.database import Store
from komeet.store.errors import StoreError
from komeet.telemetry.logs import configure

_COLUMNS = (
    Column("", number=True),
    Column("asked", least=24),
    Column("in", rank=2),
    Column("at most", number=True),
    Column("why", least=24),
)

program = new_program()


@program.command(name="explain")
def explain_call(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model or a route.", show_default=False)] = "",
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What would be said.", show_default=False)] = "Hi",
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="A whole request, as JSON; `-`: standard input.")
    ] = None,
    request: Annotated[
        str, typer.Option(metavar="ID", help="A call that was made (`x-request-id`): what happened, and why.")
    ] = "",
    surface: Annotated[str, typer.Option(metavar="PATH", help="Where it would be sent.")] = "/v1/chat/completions",
    config: ConfigFile = None,
    port: Port = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say who would be asked for a call, at what cost; or who was.

    Nobody is called and nothing is held. The Komeet that runs on this machine is asked, with KOMEET_API_KEY or the key
    of `komeet chat`: budgets, limits and rights are that key's. With `--request`, the request log is read instead.
    """
    configure("error", "text")
    if request:
        explain_past(config, data_dir, request, as_json=as_json)
        return
    setup = read(config, data_dir)
    call = _call(model, prompt, file)
    place = place_of(setup.config.server, port)
    if not is_up(place):
        fail(f"no Komeet answers at {place.url}; --port says where, and `komeet serve` starts one")
    try:
        found = explain(place, _key(setup), surface, call)
    except (Refused, StoreError) as error:
        fail(str(error))
    if as_json:
        print_json(found)
        return
    _print(found)


def _call(model: str, prompt: str, file: Path | None) -> dict[str, Any]:
    if file is None:
        if not model:
            fail("name a model or a route, or give a whole request by --file")
        return {"model": model, "messages": [{"role": "user", "content": prompt}]}
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
        call = json.loads(text)
    except (OSError, ValueError) as error:
        fail(f"{file}: {error}")
    if not isinstance(call, dict):
        fail(f"{file}: not a JSON object")
    return cast("dict[str, Any]", call) | ({"model": model} if model else {})


def _key(setup: Setup) -> str:
    with closing(Store.open_for_cli(setup.data_dir, databases_of(setup.config))) as files:
        return chat_key(files, setup.data_dir, os.environ).secret.reveal()


def _print(found: dict[str, Any]) -> None:
    rows = [_row(number, one) for number, one in enumerate(found["candidates"], 1)]
    table(_COLUMNS, rows, empty="Nobody would be asked.")
    notes = [f"{one['model']}: {one['why']}" for one in found["left_out"]]
    for note in notes:
        console().print(f"[dim]left out: {escape(note)}[/dim]")
    if found["refused"] is not None:
        refused = found["refused"]
        console().print(escape(f"The caller would get {refused['status']} {refused['code']}: {refused['message']}"))


def _row(number: int, one: dict[str, Any]) -> tuple[str, ...]:
    why = str(one["why"])
    if one["refused"] is not None:
        why += f"; not sent: {one['refused']['message']}"
    if one["open_breaker"]:
        why += "; left alone for the moment"
    if one["losses"]:
        why += f"; without {', '.join(one['losses'])}"
    way = f"{one['format']}{', as it comes' if one['passed_through'] else ''}"
    most = "?" if one["most_charge"] is None else money(Nano(one["most_charge"]))
    return str(number), f"{one['provider']}/{one['model']}", way, most, why
