"""`kill -9` in the middle of many calls: the provider's own log and the ledger agree, call by call."""

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.whole.gateway import Gateway, towards
from tests.whole.upstream import DONE, HELLO, LAST, STREAM, Received, Step, Upstream, chunk, delta, event, usage, whole

from komeet.ledger.port import State

KILLS = 20
CALLERS = 50
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


async def _call(port: int, key: str, name: str, *, stream: bool) -> None:
    """Call until the other end is gone; each call asks for a model of its own, which is how both logs name it."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for turn in itertools.count():
                messages = [{"role": "user", "content": "Hi"}]
                call = {"model": f"openai/{name}-{turn}", "messages": messages, "stream": stream}
                body = json.dumps(call).encode()
                head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                if stream:
                    await reader.readuntil(b"0\r\n\r\n")
                else:
                    answer = await reader.readuntil(b"\r\n\r\n")
                    length = int(answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                    await reader.readexactly(length)
        finally:
            writer.close()


async def _load_until_killed(gateway: Gateway, kill: int, seconds: float) -> None:
    callers = [
        asyncio.create_task(_call(gateway.port, gateway.key, f"call-{kill}-{number}", stream=number % 2 == 0))
        for number in range(CALLERS)
    ]
    await asyncio.sleep(seconds)
    gateway.kill()
    await asyncio.wait(callers, timeout=20)


def _paced(request: Received) -> Iterator[Step]:
    if not request.json.get("stream"):
        yield from whole(HELLO)
        return
    yield STREAM
    for word in ("One ", "two ", "three."):
        yield chunk(delta(word))
    yield chunk(delta(finish="stop")) + chunk(event(choices=[], usage=usage(9, 4))) + chunk(DONE) + LAST


def test_every_call_that_the_provider_accepted_has_one_outcome(tmp_path: Path) -> None:
    seed = 20_261_122
    chance = random.Random(seed)
    with Upstream(answer=_paced) as upstream:
        gateway = Gateway(tmp_path, towards(upstream.url))
        accepted: list[str] = []
        for kill in range(KILLS):
            where = f"seed {seed}, kill {kill}"
            gateway.start()
            asyncio.run(_load_until_killed(gateway, kill, chance.uniform(0.05, 0.6)))
            gateway.start()
            ended = gateway.outcomes()
            gateway.kill()
            gateway.start()
            assert gateway.outcomes() == ended, f"a second start changed something ({where})"
            gateway.stop()
            accepted = [request.json["model"] for request in upstream.received]
            sent = [model for model, state in ended if state is not State.VOIDED]
            settled = {model for model, state in ended if state is State.SETTLED}
            assert len(sent) == len(set(sent)), f"a call with two outcomes ({where})"
            assert set(accepted) <= set(sent), f"the provider saw what the ledger did not ({where})"
            assert settled <= set(accepted), f"charged and never sent ({where})"
            assert gateway.audit() == [], where
            assert gateway.holds() == len(ended), f"a hold without an outcome ({where})"
        assert len(accepted) > KILLS * 5
