"""The drill against gateways that are worse than Komeet, and against Komeet: it tells them apart."""

import asyncio
import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import pytest
from tests.whole.gateway import komeet

from komeet.core.clock import SystemClock
from komeet.lab.drill.books import differences
from komeet.lab.drill.caller import Target
from komeet.lab.drill.run import ACCOUNTING, Drill, NotThere
from komeet.lab.drill.scenario import HEALTHY, Asked, Call, Ended, Made, Outcome, Result, Scenario, Seen
from komeet.lab.drill.scenarios import SCENARIOS
from komeet.lab.drill.upstream import Address, Upstreams

ANYWHERE = Address("127.0.0.1", 0)


def pipe(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relay(to: Address) -> Generator[str]:
    """A gateway that hands on bytes, and has neither deadlines nor anybody else to ask."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((to.host, to.port)) as upstream:
                upwards = threading.Thread(target=pipe, args=(self.request, upstream))
                upwards.start()
                pipe(upstream, self.request)
                upwards.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()


async def drilled(scenarios: Sequence[Scenario], open_: contextlib.ExitStack) -> Mapping[str, Outcome]:
    """Drill a relay, which `open_` ends: once the loop no longer has to answer it."""
    upstreams = Upstreams(SystemClock())
    async with upstreams.listening(ANYWHERE, ANYWHERE) as (first, _):
        url = open_.enter_context(relay(first))
        target = Target(url=url, model="drill", patience=1.0)
        drill = Drill(target, upstreams, SystemClock())
        await drill.await_gateway(5)
        outcomes = await drill.run(scenarios, None, lambda _: None)
    return {one.name: one for one in outcomes}


def test_a_gateway_that_only_hands_on_bytes_fails_where_it_should() -> None:
    wanted = {
        "healthy": Result.PASS,
        "429-persistent": Result.PASS,
        "500-once": Result.SAFE_FAIL,
        "silent": Result.FAIL,
        "cut-reset": Result.SAFE_FAIL,
        "cut-end": Result.FAIL,
        "bad-json": Result.FAIL,
        "no-done": Result.PARTIAL,
        "html": Result.FAIL,
        "context-length": Result.PASS,
        "content-filter": Result.PASS,
        ACCOUNTING: Result.PASS,
    }
    chosen = [one for one in SCENARIOS if one.name in wanted]
    with contextlib.ExitStack() as open_:
        found = asyncio.run(drilled(chosen, open_))
    assert {name: one.result for name, one in found.items()} == wanted


def test_who_is_not_there_is_told_so() -> None:
    async def drill() -> None:
        upstreams = Upstreams(SystemClock())
        async with upstreams.listening(ANYWHERE, ANYWHERE) as (_, second):
            url = open_.enter_context(relay(second))
            await Drill(Target(url=url, model="drill", patience=1.0), upstreams, SystemClock()).await_gateway(0)

    with contextlib.ExitStack() as open_, pytest.raises(NotThere, match="asked the second upstream, and not the first"):
        asyncio.run(drill())


def test_a_request_that_the_books_lack_is_a_difference() -> None:
    made = Made(1, Call((HEALTHY,)), Seen(Ended.WHOLE, 200), (Asked(first=True, at=0.0, act=HEALTHY),))
    assert list(differences(made, [])) == ["1 requests reached the upstreams, and the ledger has 0"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--against", "example"), "is no URL"),
        (("--listen", "9100"), "is not HOST:PORT"),
        (("--key", "NOT_THERE"), "no environment variable"),
        (("--header", "x"), "is not NAME:VALUE"),
        (("--against", "http://127.0.0.1:9/v1", "--wait", "0"), "asked neither upstream"),
    ],
)
def test_what_cannot_be_drilled_is_said(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = komeet("drill", *arguments, data_dir=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.slow
def test_komeet_passes_every_scenario(tmp_path: Path) -> None:
    done = komeet("drill", "--json", data_dir=tmp_path)
    assert done.stdout, done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)["scenarios"]
    assert [one for one in found if one["result"] != "pass"] == []
    assert {one["name"] for one in found} == {one.name for one in SCENARIOS} | {ACCOUNTING}
    assert done.returncode == 0
