"""Keeps streams open against a gateway and prints, as JSON, what came.

`python -m bench.streams PORT KEY STREAMS TOKENS SECONDS`. Each connection asks again as soon as its answer is whole,
until the time is up; of an answer that is not whole by then, only the events count.
"""

import asyncio
import sys
import time
from typing import cast

import httptools
import msgspec
import uvloop

from bench.call import EVENTS_AROUND, PATH, question
from bench.load import Outcome


class Counts:
    """What all connections have seen."""

    def __init__(self) -> None:
        self.lines = 0
        self.whole = 0
        self.bad = 0
        self.first_us: list[float] = []

    def at(self, share: float) -> float:
        """Return the time to the first event that `share` of the answers kept, in µs; 0 if there were none."""
        ordered = sorted(self.first_us)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


class Stream(asyncio.Protocol):
    """One connection, asking over and over."""

    def __init__(self, request: bytes, tokens: int, until: float, counts: Counts) -> None:
        self._request = request
        self._lines = 2 * (tokens + EVENTS_AROUND)  # an event is a line and an empty line; no read splits a newline
        self._until = until
        self._counts = counts
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        if self._loop.time() < self._until:
            self._counts.bad += 1

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        if not self._seen:
            self._counts.first_us.append((time.perf_counter() - self._asked) * 1e6)
        self._seen += data.count(b"\n")
        self._last = data

    def on_message_complete(self) -> None:
        right = self._parser.get_status_code() == 200 and self._seen == self._lines and b"[DONE]" in self._last
        self._counts.lines += self._seen
        self._counts.whole += right
        self._counts.bad += not right
        self._seen = 0
        if self._loop.time() < self._until:
            self._loop.call_soon(self._ask)

    def give_up(self) -> None:
        """Count the events of an answer that is still coming, and close."""
        self._counts.lines += self._seen
        self._transport.abort()

    def _ask(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._seen, self._last = 0, b""
        self._asked = time.perf_counter()  # the loop's own clock counts whole milliseconds
        self._transport.write(self._request)


async def _run(port: int, key: str, streams: int, tokens: int, seconds: float) -> Outcome:
    body = question(stream=True, tokens=tokens).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    loop, counts = asyncio.get_running_loop(), Counts()
    until = loop.time() + seconds
    opened: list[Stream] = []
    for _ in range(streams):
        _, stream = await loop.create_connection(
            lambda: Stream(head.encode() + body, tokens, until, counts), "127.0.0.1", port
        )
        opened.append(stream)
        await asyncio.sleep(0.001)  # apart, so that their events do not come in one burst every 10 ms
    await asyncio.sleep(until - loop.time())
    for stream in opened:
        stream.give_up()
    return Outcome(
        units=counts.lines // 2, answers=counts.whole, bad=counts.bad, p50_us=counts.at(0.5), p99_us=counts.at(0.99)
    )


def main(port: str, key: str, streams: str, tokens: str, seconds: str) -> None:
    outcome = uvloop.run(_run(int(port), key, int(streams), int(tokens), float(seconds)))
    print(msgspec.json.encode(outcome).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
