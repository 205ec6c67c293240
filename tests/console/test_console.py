"""The console's routes: who may see them, how often the supervisor is asked, and what is said instead."""

import asyncio
import json
from collections.abc import Mapping

import pytest
from msgspec.structs import replace
from tests.console.test_page import STATUS
from tests.pipeline.fakes import FakeReply

from komeet.access.rules import Access
from komeet.console.application import Console
from komeet.console.status import Status
from komeet.core.clock import ManualClock
from komeet.core.errors import BodyTooLarge, Unavailable
from komeet.core.http import HttpRequest


class Supervisor:
    """Says how everything stands, after a turn of the loop; or that it does not."""

    def __init__(self, status: Status | None = STATUS) -> None:
        self.status = status
        self.asked = 0

    async def look(self) -> Status:
        self.asked += 1
        await asyncio.sleep(0)
        if self.status is None:
            raise Unavailable("The supervisor <does not> say.")
        return self.status


def request(
    path: str = "/",
    method: str = "GET",
    peer: str = "127.0.0.1",
    host: bytes = b"localhost:4001",
    more: Mapping[bytes, bytes] | None = None,
) -> HttpRequest:
    headers = {b"host": host} | dict(more or {})
    return HttpRequest(method=method, path=path, headers=headers, arrived=0.0, peer=peer)


def ask(asked: HttpRequest, console: Console | None = None) -> FakeReply:
    reply = FakeReply()

    async def one() -> None:
        await (console or Console(Supervisor().look, ManualClock())).handle(asked, reply)

    asyncio.run(one())
    assert reply.finished
    return reply


def test_every_route_has_its_rule() -> None:
    routes = Console(Supervisor().look, ManualClock()).routes
    assert {route.path: route.access for route in routes} == {"/": Access.MACHINE, "/health": Access.MACHINE}


@pytest.mark.parametrize("path", ["/", "/health"])
def test_it_is_for_this_machine_asked_directly_and_by_its_own_name(path: str) -> None:
    assert ask(request(path)).status == 200
    assert ask(request(path, host=b"[::1]:4001", peer="::1")).status == 200
    assert ask(request(path, peer="10.0.0.1")).status == 403
    assert ask(request(path, host=b"evil.example:4001")).status == 403
    assert ask(request(path, more={b"x-forwarded-for": b"127.0.0.1"})).status == 403


def test_every_answer_is_fresh_and_may_not_be_framed_or_read_by_another_page() -> None:
    down = Console(Supervisor(None).look, ManualClock())
    for reply in (
        ask(request()),
        ask(request("/health")),
        ask(request("/no")),
        ask(request(peer="::2")),
        ask(request(), down),
    ):
        headers = dict(reply.headers)
        assert headers[b"cache-control"] == b"no-store"
        assert headers[b"content-security-policy"].startswith(b"default-src 'none'; ")
        assert headers[b"cross-origin-resource-policy"] == b"same-origin"
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert headers[b"x-frame-options"] == b"DENY"


def test_what_there_is_not() -> None:
    assert ask(request("/../etc/passwd")).status == 404
    said = ask(request("/", "POST"))
    assert (said.status, dict(said.headers)[b"allow"]) == (405, b"GET, HEAD")
    assert ask(request("/", "HEAD")).status == 200
    status, headers, body = Console(Supervisor().look, ManualClock()).refusal(BodyTooLarge("Too large."))
    assert (status, body) == (413, b"Too large.\n")
    assert dict(headers)[b"content-type"] == b"text/plain; charset=utf-8"


def test_programs_get_json_and_a_status_that_says_whether_calls_are_answered() -> None:
    said = ask(request("/health"))
    assert said.status == 200
    body = json.loads(said.body)
    assert (body["status"], body["calls_total"], body["workers"][0]["pid"]) == ("degraded", 2468, 11)
    nobody = Supervisor(replace(STATUS, workers=[]))
    said = ask(request("/health"), Console(nobody.look, ManualClock()))
    assert (said.status, json.loads(said.body)["status"]) == (503, "down")


@pytest.mark.parametrize("path", ["/", "/health"])
def test_a_supervisor_that_does_not_say_is_told(path: str) -> None:
    said = ask(request(path), Console(Supervisor(None).look, ManualClock()))
    assert said.status == 503
    assert (b"&lt;does not&gt;" if path == "/" else b"<does not>") in said.body


def test_however_many_ask_the_supervisor_is_asked_once_a_second() -> None:
    supervisor, clock = Supervisor(), ManualClock()

    async def main() -> list[int]:
        console = Console(supervisor.look, clock)
        counts: list[int] = []
        for seconds in (0.0, 0.5, 0.6):
            clock.advance(seconds)
            replies = [FakeReply() for _ in range(50)]
            await asyncio.gather(*(console.handle(request(), reply) for reply in replies))
            assert {reply.status for reply in replies} == {200}
            counts.append(supervisor.asked)
        return counts

    assert asyncio.run(main()) == [1, 1, 2]
