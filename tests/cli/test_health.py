"""`komeet health`: for health checks, over plain HTTP or TLS, and right about what is no Komeet."""

import http.server
import json
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.cli.conftest import Komeet

TLS = Path(__file__).parents[1] / "net" / "tls" / "server.pem"
OK = json.dumps({"status": "ok"}).encode()


@contextmanager
def _answering(status: int, body: bytes, *, tls: bool = False, asked: list[str] | None = None) -> Generator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.path)
                assert self.headers["Authorization"] is None
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base calls it
            """Stay silent."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_answers(komeet: Komeet) -> None:
    asked: list[str] = []
    with _answering(200, OK, asked=asked) as port:
        said = komeet("health", "--port", str(port))
        by_environment = komeet("health", env={"KOMEET_PORT": str(port)})
    assert (said.status, said.out, said.err) == (0, f"127.0.0.1 port {port}: ok\n", "")
    assert by_environment == said
    assert asked == ["/healthz", "/healthz"]
    assert not komeet.data_dir.exists()


def test_one_that_answers_and_cannot_serve(komeet: Komeet) -> None:
    body = json.dumps({"status": "not ready", "missing": {"ledger": "it cannot be written"}}).encode()
    asked: list[str] = []
    with _answering(503, body, asked=asked) as port:
        said = komeet("health", "--ready", "--port", str(port))
    assert (said.status, said.out) == (1, "")
    assert said.err.endswith("status 503: not ready (ledger: it cannot be written)\n")
    assert asked == ["/readyz"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"status": 1, "missing": 2}', b"\xff"])
def test_another_program_on_the_port_is_not_healthy(komeet: Komeet, body: bytes) -> None:
    with _answering(200, body) as port:
        said = komeet("health", "--port", str(port))
    assert (said.status, said.out) == (1, "")
    assert "no Komeet answers" in said.err


def test_nobody_on_the_port(komeet: Komeet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    said = komeet("health", "--port", str(port))
    assert (said.status, said.out) == (1, "")
    assert said.err == f"komeet: 127.0.0.1 port {port}: no Komeet answers (ConnectionRefusedError)\n"


def test_the_file_says_where_and_how_it_listens(komeet: Komeet, tmp_path: Path) -> None:
    with _answering(200, OK, tls=True) as port:
        server = {"host": "0.0.0.0", "port": port, "tls": {"cert_file": str(TLS), "key_file": str(TLS)}}
        (tmp_path / "komeet.yaml").write_text(yaml.safe_dump({"server": server}))
        said = komeet("health", "--config", "komeet.yaml")
        assert (said.status, said.err) == (0, "")
        assert komeet("health", "--port", str(port)).status == 1, "plain HTTP to a port with TLS"


def test_a_mistake_in_the_file_is_said(komeet: Komeet, tmp_path: Path) -> None:
    (tmp_path / "komeet.yaml").write_text("server: {prt: 1}")
    said = komeet("health", "--config", "komeet.yaml")
    assert said.status == 1
    assert "server.prt" in said.err
