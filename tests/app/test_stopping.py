"""However the process is made to stop, what was sent has its outcome before the ledger closes."""

import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.whole.gateway import Gateway, towards
from tests.whole.upstream import DONE, STREAM, Received, Step, Upstream, chunk, delta

from komeet.ledger.port import State

HELLO = delta("Hello")


def call(gateway: Gateway) -> socket.socket:
    """Ask for a stream, and return once its first event is there."""
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
    body = json.dumps({"model": "gpt-5.2", "stream": True, "messages": [{"role": "user", "content": "Hi"}]})
    connection.sendall(
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {gateway.key}\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}".encode()
    )
    received = b""
    while HELLO not in received:
        piece = connection.recv(65_536)
        assert piece, received
        received += piece
    return connection


def rest(connection: socket.socket) -> bytes:
    """Everything that still comes."""
    with connection:
        received = b""
        while piece := connection.recv(65_536):
            received += piece
        return received


def wait_until_nobody_listens(port: int) -> None:
    """Wait until the process has begun to stop."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            return
        time.sleep(0.02)
    raise AssertionError("it listens still")


def ends(gateway: Gateway) -> None:
    """Wait for the process, which must not be long."""
    try:
        gateway.process.wait(15)
    except subprocess.TimeoutExpired:
        gateway.process.kill()
        raise
    finally:
        gateway._close()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(("twice", "drain"), [(False, 1), (True, 60)], ids=["its time is over", "a second signal"])
def test_a_call_that_does_not_end_is_cut_and_settled(twice: bool, drain: float, tmp_path: Path) -> None:
    go_on = threading.Event()

    def endless(_: Received) -> Iterator[Step]:
        yield STREAM + chunk(HELLO)
        go_on.wait(60)

    with Upstream(endless) as upstream:
        config = towards(upstream.url) | {"server": {"drain_seconds": drain}, "embedded": {"enabled": False}}
        gateway = Gateway(tmp_path, config).start()
        connection = call(gateway)
        gateway.process.send_signal(signal.SIGTERM)
        if twice:
            wait_until_nobody_listens(gateway.port)
            gateway.process.send_signal(signal.SIGINT)
        said = rest(connection)
        ends(gateway)
        go_on.set()
    assert not said.endswith(b"0\r\n\r\n")
    assert "Traceback" not in gateway.errors()
    assert [state for _, state in gateway.outcomes()] == [State.SETTLED]
    assert gateway.total().held == 0
    assert gateway.audit() == []
    gateway.files.close()


def test_a_call_that_ends_in_time_is_whole(tmp_path: Path) -> None:
    go_on = threading.Event()

    def slow(_: Received) -> Iterator[Step]:
        yield STREAM + chunk(HELLO)
        go_on.wait(60)
        yield chunk(delta(finish="stop")) + chunk(DONE) + b"0\r\n\r\n"

    with Upstream(slow) as upstream:
        gateway = Gateway(tmp_path, towards(upstream.url) | {"embedded": {"enabled": False}}).start()
        connection = call(gateway)
        gateway.process.send_signal(signal.SIGTERM)
        wait_until_nobody_listens(gateway.port)
        go_on.set()
        said = rest(connection)
        ends(gateway)
    assert DONE in said
    assert said.endswith(b"0\r\n\r\n")
    assert [state for _, state in gateway.outcomes()] == [State.SETTLED]
    gateway.files.close()
