"""`komeet drill`."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
from msgspec import Struct

from komeet.cli.options import new_program
from komeet.cli.output import console, escape, fail, print_json
from komeet.core.clock import SystemClock
from komeet.lab.drill.books import OwnBooks
from komeet.lab.drill.caller import Target
from komeet.lab.drill.own import ROUTE, CannotStart, running
from komeet.lab.drill.report import document, failed, line, score
from komeet.lab.drill.run import Drill, NotThere
from komeet.lab.drill.scenario import Outcome
from komeet.lab.drill.scenarios import SCENARIOS
from komeet.lab.drill.upstream import Address, Upstreams
from komeet.telemetry.logs import configure

_OWN_PATIENCE: Final = 15.0

program = new_program()


class _Plan(Struct, frozen=True):
    """What was asked for."""

    against: str | None
    model: str
    headers: Mapping[str, str]
    first: Address
    second: Address
    patience: float
    wait: float


@program.command()
def drill(
    against: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The API of another gateway, `/v1` included.", show_default="a Komeet of its own"
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="ENV", help="Environment variable that holds a key of that gateway.")
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="What that gateway calls the model.")] = ROUTE,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME:VALUE", help="A header for every call to it; may be repeated.")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Where the first upstream listens; the second takes the next port.",
            show_default="free ports of 127.0.0.1",
        ),
    ] = None,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="After which an answer that is not complete is a failure.")
    ] = 30.0,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long that gateway may take until it first answers.")
    ] = 300.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Score a gateway whose providers fail, lie or fall silent.

    Two upstreams are started that misbehave byte for byte; a caller notes what the gateway makes of it. Without
    --against, a Komeet is started for it, with data of its own. Ends with status 1 where a scenario fails.
    """
    configure("error", "text")
    first, second = _addresses(listen)
    plan = _Plan(
        against=against,
        model=model,
        headers=_headers(key, header or ()),
        first=first,
        second=second,
        patience=patience,
        wait=wait,
    )
    if against is not None and (urlsplit(against).scheme not in {"http", "https"} or not urlsplit(against).hostname):
        fail(f"--against {against!r} is no URL: http://HOST:PORT/v1")
    told: Callable[[Outcome], None] = (lambda _: None) if as_json else (lambda one: console().print(escape(line(one))))
    try:
        outcomes = asyncio.run(_drilled(plan, told))
    except (NotThere, CannotStart, OSError) as error:
        fail(str(error))
    if as_json:
        print_json(document(outcomes))
    else:
        console().print(escape(score(outcomes)))
    if failed(outcomes):
        raise typer.Exit(1)


async def _drilled(plan: _Plan, told: Callable[[Outcome], None]) -> tuple[Outcome, ...]:
    clock = SystemClock()
    upstreams = Upstreams(clock)
    async with AsyncExitStack() as open_:
        first, second = await open_.enter_async_context(upstreams.listening(plan.first, plan.second))
        if plan.against is None:
            own = await open_.enter_async_context(running(first, second))
            key = {"authorization": f"Bearer {own.key}"}
            target = Target(url=own.url, model=ROUTE, headers=key, patience=_OWN_PATIENCE)
            books = OwnBooks(own.data_dir, clock)
        else:
            _say_how(plan, upstreams, first, second)
            target = Target(url=plan.against, model=plan.model, headers=plan.headers, patience=plan.patience)
            books = None
        drill = Drill(target, upstreams, clock)
        await drill.await_gateway(plan.wait)
        return await drill.run(SCENARIOS, books, told)


def _say_how(plan: _Plan, upstreams: Upstreams, first: Address, second: Address) -> None:
    """Say on standard error how the gateway has to be configured."""
    names = upstreams.models
    console(stderr=True).print(
        escape(
            f"Two OpenAI-compatible providers, which take any key:\n"
            f"  first   {first.url}  model {names[0]}\n"
            f"  second  {second.url}  model {names[1]}\n"
            f"The gateway's model `{plan.model}` has to lead to the first, and where that fails to the second.\n"
            f"Waiting for an answer of {plan.against} …"
        )
    )


def _addresses(listen: str | None) -> tuple[Address, Address]:
    if listen is None:
        return Address("127.0.0.1", 0), Address("127.0.0.1", 0)
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_535:
        fail(f"--listen {listen!r} is not HOST:PORT with a port from 1 to 65534")
    host = host.strip("[]")
    return Address(host, int(port)), Address(host, int(port) + 1)


def _headers(key: str | None, more: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    if key is not None:
        value = os.environ.get(key)
        if not value:
            fail(f"--key {key}: there is no environment variable of this name, or it is empty")
        found["authorization"] = f"Bearer {value}"
    for each in more:
        name, colon, value = each.partition(":")
        if not colon or not name.strip():
            fail(f"--header {each!r} is not NAME:VALUE")
        found[name.strip()] = value.strip()
    return found
