"""A streaming upstream: one chat.completion.chunk event per token, one every 10 ms. `python -m bench.upstream PORT`.

As many tokens as the question asks for ("… in 100 tokens"); one token comes at once, for measuring latency alone.
"""

import asyncio
import json
import re
import sys
from typing import Any, cast

import httptools
import uvloop

from bench.call import MODEL, TOKENS

INTERVAL = 0.01
"""Seconds between two events."""

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
_ASKED = re.compile(rb"in (\d+) tokens")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
    base = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1763800000, "model": MODEL}
    return _chunk(b"data: " + json.dumps({**base, "choices": choices, "usage": usage}).encode() + b"\n\n")


def _delta(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return _event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])


def answer(tokens: int) -> list[bytes]:
    """Return the pieces of an answer as they are written: role and first token, the other tokens, then all the rest."""
    usage = {
        "prompt_tokens": 46,
        "completion_tokens": tokens,
        "total_tokens": 46 + tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    role = _delta({"role": "assistant", "content": ""})
    words = [_delta({"content": f" tok{number}"}) for number in range(tokens)]
    last = _delta({}, "stop") + _event([], usage) + _chunk(b"data: [DONE]\n\n") + _chunk(b"")
    return [role + words[0] + last] if tokens == 1 else [role, *words, last]


class Upstream(asyncio.Protocol):
    """One connection."""

    def __init__(self, answers: dict[int, list[bytes]]) -> None:
        self._answers = answers
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        asked = _ASKED.search(self._body)
        tokens = int(asked[1]) if asked else TOKENS
        if tokens not in self._answers:
            self._answers[tokens] = answer(tokens)
        self._body = b""
        self._transport.write(_HEAD)
        self._write(self._answers[tokens], 0)

    def _write(self, pieces: list[bytes], index: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(pieces[index])
        if index + 1 < len(pieces):
            asyncio.get_running_loop().call_later(INTERVAL, self._write, pieces, index + 1)


async def _serve(port: int) -> None:
    answers: dict[int, list[bytes]] = {}
    server = await asyncio.get_running_loop().create_server(lambda: Upstream(answers), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
