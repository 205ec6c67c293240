"""The port as strangers meet it: bounds, silence, proxies, browsers, TLS; each with the real command and its file."""

import contextlib
import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.whole.gateway import Gateway, komeet, towards
from tests.whole.upstream import DONE, LAST, STREAM, Received, Step, Upstream, chunk, delta, event, usage

from komeet.ledger.port import State

TLS = Path(__file__).parents[1] / "net" / "tls"
CANARY = "sk-upstream-canary"
BODY = json.dumps({"model": "gpt-5.2", "messages": [{"role": "user", "content": "Hi"}], "stream": True}).encode()
BODY_WHOLE = BODY.replace(b"true", b"false")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
USAGE = event(choices=[], usage=usage(5, 2))


@contextlib.contextmanager
def serving(upstream: Upstream, folder: Path, **server: Any) -> Generator[Gateway]:
    with Gateway(folder, towards(upstream.url) | {"server": server}) as running:
        yield running


@contextlib.contextmanager
def connected(gateway: Gateway, *, receive: int | None = None) -> Generator[socket.socket]:
    with socket.socket() as connection:
        if receive is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", gateway.port))
        yield connection


def post(gateway: Gateway, body: bytes = BODY, more: str = "") -> bytes:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {gateway.key}\r\n{more}"
    return head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            received += piece
    return received


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_reader_that_takes_nothing_is_cut_and_its_call_settled(upstream: Upstream, tmp_path: Path) -> None:
    """F2: the provider is no longer read, then the caller is cut, the provider left, and what was written charged."""
    given = 0

    def endless(_: Received) -> Iterable[Step]:
        nonlocal given
        yield STREAM
        for _number in range(100_000):
            given += 1
            yield chunk(delta("word " * 200))

    upstream.answer = endless
    with serving(upstream, tmp_path, write_seconds=1) as gateway, connected(gateway, receive=4096) as caller:
        caller.sendall(post(gateway))
        until(lambda: given > 100)
        until(lambda: upstream.left == 1)
        assert given < 50_000, "it was held up"
        until(lambda: bool(gateway.outcomes()))
        ((_, state),) = gateway.outcomes()
        assert state is State.SETTLED
        assert gateway.total().cost > 0
        assert gateway.audit() == []


def test_a_silent_stream_gets_comments_between_events_only(upstream: Upstream, tmp_path: Path) -> None:
    """U9."""
    go = threading.Semaphore(0)

    def slow(_: Received) -> Iterable[Step]:
        first = delta("Hel")
        yield STREAM
        for piece in (first[:20], first[20:], delta("lo."), USAGE, DONE):
            go.acquire(timeout=30)
            yield chunk(piece)
        yield LAST

    upstream.answer = slow
    with serving(upstream, tmp_path, quiet_seconds=0.3) as gateway, connected(gateway) as caller:
        caller.sendall(post(gateway))
        received = b""
        for _ in range(5):
            seen = received.count(b": keep-alive\n\n")
            while received.count(b": keep-alive\n\n") < seen + 2:
                received += caller.recv(65536)
            go.release()
        while not received.endswith(b"0\r\n\r\n"):
            received += caller.recv(65536)
        body = received.partition(b"\r\n\r\n")[2]
        text = b"".join(re.findall(rb"(?s)[0-9a-f]+\r\n(.*?\n\n)\r\n", body))
        blocks = text.split(b"\n\n")
        assert [block for block in blocks if block != b": keep-alive"] == [
            *(each.strip() for each in (delta("Hel"), delta("lo."), DONE)), b"",
        ]  # fmt: skip


def test_a_body_above_the_limit_is_refused_before_it_is_read(upstream: Upstream, tmp_path: Path) -> None:
    """F8: by its length, by its chunks, and by the coding that would make it grow."""
    cap = 1 << 20

    def refused(gateway: Gateway, head: str, pieces: Iterable[bytes]) -> tuple[int, int]:
        """Send until an answer comes; return its status and how much was sent."""
        sent = 0
        with connected(gateway) as caller:
            shown = f"Authorization: Bearer {gateway.key}\r\n"
            caller.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n{shown}{head}\r\n".encode())
            for piece in pieces:
                caller.sendall(piece)
                sent += len(piece)
                caller.settimeout(0.01 if sent < cap else 5)
                with contextlib.suppress(TimeoutError):
                    return int(caller.recv(12)[9:12]), sent
        raise AssertionError("no answer came")

    with serving(upstream, tmp_path, max_body_bytes=cap) as gateway:
        chunks = (b"8000\r\n" + b"x" * 0x8000 + b"\r\n" for _ in range(100))
        assert refused(gateway, f"Content-Length: {cap + 1}\r\n", [b""]) == (413, 0)
        status, sent = refused(gateway, "Transfer-Encoding: chunked\r\n", chunks)
        assert status == 413
        assert sent < cap + 64 * 1024 + 1024
        assert refused(gateway, "Content-Encoding: gzip\r\nContent-Length: 100\r\n", [b""]) == (415, 0)
        whole = json.dumps({"model": "gpt-5.2", "messages": [{"role": "user", "content": "x" * (cap - 70)}]}).encode()
        assert gateway.request("POST", "/v1/chat/completions", whole.ljust(cap)).status == 200
    assert len(upstream.received) == 1


@pytest.mark.parametrize("framing", ["Content-Length: 30000000", "Transfer-Encoding: chunked"])
def test_who_shows_no_key_that_works_is_told_before_the_body_is_read(
    framing: str, upstream: Upstream, tmp_path: Path
) -> None:
    """F5: and what is in that body, a whole call with a good key, is never made."""

    def answered(gateway: Gateway, path: str, key: str, more: str = "") -> bytes:
        with connected(gateway) as caller:
            shown = f"Authorization: Bearer {key}\r\n" if key else ""
            caller.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\n{shown}{framing}\r\n{more}\r\n".encode())
            said = caller.recv(65536)
            with contextlib.suppress(ConnectionError):
                for _ in range(100):
                    caller.sendall(post(gateway, BODY_WHOLE))
            return said + read_all(caller)

    with serving(upstream, tmp_path, workers=1) as gateway:
        revoked = gateway.create_key("revoked")
        assert komeet("key", "revoke", "revoked", data_dir=tmp_path).returncode == 0
        until(lambda: gateway.request("GET", "/v1/models", key=revoked).status == 401)
        for key in ("", "sk-another", "sk-km-" + "a" * 43, revoked):
            for more in ("", "Expect: 100-continue\r\n"):
                said = answered(gateway, "/v1/chat/completions", key, more)
                assert said.startswith(b"HTTP/1.1 401 "), said
                assert b"\r\nconnection: close\r\n" in said
                assert said.count(b"HTTP/1.1 ") == 1
                assert b"\r\nx-request-id: req_" in said
                assert key[6:].encode() not in said or not key
        said = answered(gateway, "/v1/messages", "sk-another")
        assert b'"type":"authentication_error"' in said, "in the shape of its format"
        assert b"\r\nrequest-id: req_" in said
        assert answered(gateway, "/v1/nothing", gateway.key).startswith(b"HTTP/1.1 404 ")
        assert answered(gateway, "/v1/models", gateway.key).startswith(b"HTTP/1.1 405 ")
    assert upstream.received == []


def test_a_large_body_with_a_key_that_works_is_asked_for_and_read(upstream: Upstream, tmp_path: Path) -> None:
    body = json.dumps({"model": "gpt-5.2", "messages": [{"role": "user", "content": "x" * 5_000_000}]}).encode()
    with serving(upstream, tmp_path) as gateway:
        for number, more in enumerate(("", "Expect: 100-continue\r\n")):
            gateway.key = gateway.create_key(f"new-{number}")  # which no worker has in hand
            with connected(gateway) as caller:
                head, _, whole = post(gateway, body, more).partition(b"\r\n\r\n")
                caller.sendall(head + b"\r\n\r\n")
                if more:
                    assert caller.recv(len(CONTINUE)) == CONTINUE
                caller.sendall(whole)
                assert caller.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert len(upstream.received) == 2


@pytest.mark.parametrize(
    ("limits", "status", "code"),
    [({"max_calls": 3}, 503, "overloaded"), ({"max_calls_per_key": 3}, 429, "rate_limit_exceeded")],
)
def test_calls_above_the_limit_are_refused_at_once_and_the_others_go_well(
    limits: dict[str, int], status: int, code: str, upstream: Upstream, tmp_path: Path
) -> None:
    go = threading.Event()

    def slow(_: Received) -> Iterable[Step]:
        yield STREAM + chunk(delta("Hel"))
        go.wait(30)
        yield b"".join(chunk(piece) for piece in (delta("lo."), USAGE, DONE)) + LAST

    upstream.answer = slow
    with serving(upstream, tmp_path, workers=1, **limits) as gateway, contextlib.ExitStack() as stack:
        callers = [stack.enter_context(connected(gateway)) for _ in range(3)]
        for caller in callers:
            caller.sendall(post(gateway))
            assert caller.recv(12) == b"HTTP/1.1 200"
        for _ in range(20):
            began = time.monotonic()
            answer = gateway.chat()
            assert (answer.status, answer.error["code"]) == (status, code)
            assert answer.headers["retry-after"] == "1"
            assert time.monotonic() - began < 1
        other = gateway.create_key("other")
        assert gateway.request("GET", "/v1/models", key=other).status == 200
        assert gateway.request("GET", "/healthz").status == 200
        go.set()
        for caller in callers:
            received = b""
            while not received.endswith(LAST):
                received += caller.recv(65536)
        assert gateway.chat(other, stream=True).status == 200
        assert len(upstream.received) == 4


def test_connections_above_the_limit_are_told(upstream: Upstream, tmp_path: Path) -> None:
    with serving(upstream, tmp_path, workers=1, max_connections=5) as gateway, contextlib.ExitStack() as stack:
        assert gateway.chat().status == 200
        for _ in range(5):
            stack.enter_context(connected(gateway))
        answer = gateway.chat()
        assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")
        assert answer.headers["connection"] == "close"
        stack.close()
        until(lambda: gateway.chat().status == 200)


def test_who_says_nothing_or_drips_is_gone_in_time(upstream: Upstream, tmp_path: Path) -> None:
    """F1, in small: nothing at all, a header section and a body that drip."""
    with (
        serving(upstream, tmp_path, header_seconds=0.5, body_seconds=0.5, min_body_rate=1000) as gateway,
        connected(gateway) as silent, connected(gateway) as head, connected(gateway) as body,
    ):  # fmt: skip
        began = time.monotonic()
        head.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
        body.sendall(post(gateway, BODY)[:-20])
        for _ in range(4):
            time.sleep(0.1)
            head.sendall(b"x")
            body.sendall(b" ")
        assert read_all(silent) == b""
        assert read_all(head).startswith(b"HTTP/1.1 408 ")
        assert read_all(body).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began < 15
        assert gateway.chat().status == 200


HEAD_OF_OURS = {"date", "content-length", "content-type", "x-request-id", "x-komeet-provider", "x-komeet-cost"}
NOSY = (
    "Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\n"
    f"Trailer: X\r\nSet-Cookie: a=b\r\nServer: x\r\nVia: 1.1 x\r\nAuthorization: Bearer {CANARY}\r\n"
    f"X-Api-Key: {CANARY}\r\nOpenai-Organization: org\r\nX-Echo: {CANARY}\r\nX-Request-Id: theirs\r\n"
    'Location: http://evil/\r\nAlt-Svc: h3=":443"\r\n'
    "X-Komeet-Cost: 0\r\nAccess-Control-Allow-Origin: *\r\nStrict-Transport-Security: max-age=9\r\n"
)


@pytest.mark.parametrize("status", [200, 201, 400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("streamed", [False, True])
def test_of_a_provider_s_fields_none_reaches_the_caller(
    status: int, streamed: bool, gateway: Gateway, upstream: Upstream
) -> None:
    """S12: an allow-list, since what providers send besides is not known; also where a provider echoes its key."""
    refusal = json.dumps({"error": {"message": f"You sent Bearer {CANARY}, and x", "type": "t", "code": "c"}}).encode()

    def answer(_: Received) -> Iterable[Step]:
        if status < 300 and streamed:
            yield STREAM[:-2] + NOSY.encode() + b"\r\n"
            yield b"".join(chunk(piece) for piece in (delta("Hi"), USAGE, DONE)) + LAST
            return
        body = json.dumps(HELLO_WITH_USAGE).encode() if status < 300 else refusal
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{NOSY}\r\n"
        yield head.encode() + body

    upstream.answer = answer
    got = gateway.chat(stream=streamed)
    told = set(got.headers) - {"retry-after"}
    if got.status == 200 and streamed:
        assert told == (HEAD_OF_OURS - {"content-length", "x-komeet-cost"}) | {"transfer-encoding", "cache-control"}
    elif got.status == 200:
        assert told == HEAD_OF_OURS
    else:
        assert told == HEAD_OF_OURS - {"x-komeet-cost"}
    assert got.headers["x-request-id"].startswith("req_")
    assert CANARY not in str(got.headers)
    assert CANARY.encode() not in got.body


HELLO_WITH_USAGE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5.2",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": usage(5, 2),
}


def test_of_a_caller_s_fields_none_reaches_the_provider(gateway: Gateway, upstream: Upstream) -> None:
    """S12, the other way: hop-by-hop fields, our own keys wherever they are shown, and whatever else there is."""
    sent = {
        "Connection": "keep-alive, X-Hop", "X-Hop": "1", "Keep-Alive": "1", "TE": "trailers", "Trailer": "X",
        "Upgrade": "h2c", "Proxy-Authorization": f"Bearer {gateway.key}", "Proxy-Connection": "1",
        "X-Api-Key": gateway.key, "X-Goog-Api-Key": gateway.key, "Cookie": "a=b", "X-Forwarded-For": "1.2.3.4",
        "Forwarded": "for=1.2.3.4", "X-Real-IP": "1.2.3.4", "Openai-Organization": "org-theirs", "X-Anything": "1",
        "Accept-Encoding": "gzip", "User-Agent": "theirs/1", "Origin": "https://theirs.example", "Referer": "https://t/",
    }  # fmt: skip
    assert gateway.request("POST", "/v1/chat/completions", BODY_WHOLE, sent).status == 200
    headers = upstream.received[0].headers
    assert set(headers) == {
        "host", "authorization", "content-type", "content-length", "accept", "accept-encoding", "user-agent",
    }  # fmt: skip
    assert headers["authorization"] == f"Bearer {CANARY}"
    assert "theirs" not in str(headers)
    assert gateway.key not in str(headers)


def test_who_is_behind_a_proxy_is_not_this_machine(upstream: Upstream, tmp_path: Path) -> None:
    """With the PROXY protocol the connection comes from this machine, and the call does not."""
    asked = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    server = {"trusted_proxies": ["127.0.0.0/8"], "client_address": "proxy_protocol"}
    with serving(upstream, tmp_path, **server) as gateway:
        # The command that makes keys and waits for the port needs no connection; whoever connects needs a preamble.
        for preamble, status in (
            (b"PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n", b"401"),
            (b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", b"200"),
            (b"PROXY UNKNOWN\r\n", b"200"),
            (b"", b""),
        ):
            with connected(gateway) as caller:
                caller.sendall(preamble + asked)
                assert read_all(caller)[9:12] == status


def test_a_page_that_is_named_may_call(upstream: Upstream, tmp_path: Path) -> None:
    page = {"Origin": "https://app.example.com"}
    upstream.answer = lambda _: [STREAM + b"".join(chunk(each) for each in (delta("Hi"), USAGE, DONE)) + LAST]
    with serving(upstream, tmp_path, cors={"origins": ["https://app.example.com"]}) as gateway:
        asked = page | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        answer = gateway.request("OPTIONS", "/v1/chat/completions", headers=asked, key="")
        assert (answer.status, answer.headers["access-control-allow-headers"]) == (204, "authorization")
        answer = gateway.request("POST", "/v1/chat/completions", BODY, page)
        assert (answer.status, answer.body.endswith(DONE)) == (200, True)
        assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
        answer = gateway.request("POST", "/v1/chat/completions", BODY, page, key="nonsense")
        assert (answer.status, answer.headers["vary"]) == (401, "Origin")


def test_tls_on_the_port(upstream: Upstream, tmp_path: Path) -> None:
    files = {"cert_file": str(TLS / "server.pem"), "key_file": str(TLS / "server.pem")}
    with serving(upstream, tmp_path, tls=files) as gateway:
        trusting = ssl.create_default_context(cafile=TLS / "ca.pem")
        connection = http.client.HTTPSConnection("localhost", gateway.port, timeout=30, context=trusting)
        for _ in range(2):
            connection.request("POST", "/v1/chat/completions", BODY_WHOLE, {"Authorization": f"Bearer {gateway.key}"})
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())["object"]) == (200, "chat.completion")
        connection.close()
        with connected(gateway) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"HTTP" not in read_all(plain)
