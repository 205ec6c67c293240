"""Bad input gets its status and OpenAI's shape; it costs nothing, leaves no traceback and no stuck connection."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
from tests.whole.gateway import Gateway, komeet
from tests.whole.upstream import Upstream, whole

from komeet.core.clock import SystemClock
from komeet.store.keys import create_key

GOOD = {"model": "gpt-5.2", "messages": [{"role": "user", "content": "Hi"}]}
PATH = "/v1/chat/completions"


def _with(**fields: object) -> bytes:
    return json.dumps(GOOD | fields).encode()


def _without(name: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()


BODIES: dict[str, tuple[bytes, int, str | None]] = {
    "empty": (b"", 400, None),
    "not JSON": (b"hello", 400, None),
    "half": (b'{"model": "gpt-5.2", "mess', 400, None),
    "an array": (b"[1, 2]", 400, None),
    "trailing bytes": (_with() + b"x", 400, None),
    "two objects": (_with() + _with(), 400, None),
    "byte order mark": (b"\xef\xbb\xbf" + _with(), 400, None),
    "bad UTF-8": (_with().replace(b"Hi", b"\xff\xfe"), 400, None),
    "lone surrogate": (_with().replace(b"Hi", b"\\ud800"), 400, None),
    "NaN": (_with().replace(b"{", b'{"temperature": NaN, ', 1), 400, None),
    "infinity": (_with().replace(b"{", b'{"temperature": 1e400, ', 1), 400, "temperature"),
    "duplicate model": (_with()[:-1] + b', "model": "gpt-4o"}', 400, "model"),
    "duplicate model, escaped": (_with()[:-1] + b', "\\u006dodel": "gpt-4o"}', 400, "model"),
    "deep nesting": (_with(metadata=0).replace(b'"metadata": 0', b'"metadata": ' + b"[" * 200 + b"]" * 200), 400, None),
    "a limit of 5000 digits": (_with().replace(b"{", b'{"max_tokens": ' + b"1" * 5000 + b", ", 1), 400, "max_tokens"),
    "a temperature of 5000 digits": (
        _with().replace(b"{", b'{"temperature": ' + b"1" * 5000 + b", ", 1),
        400,
        "temperature",
    ),
    "very deep nesting": (b"[" * 200_000, 400, None),
    "no model": (_without("model"), 400, "model"),
    "model null": (_with(model=None), 400, "model"),
    "model empty": (_with(model=""), 400, "model"),
    "model a number": (_with(model=5), 400, "model"),
    "unknown model": (_with(model="nonsense"), 404, "model"),
    "no messages": (_without("messages"), 400, "messages"),
    "messages a string": (_with(messages="Hi"), 400, "messages"),
    "messages empty": (_with(messages=[]), 400, "messages"),
    "stream a string": (_with(stream="yes"), 400, "stream"),
    "n of zero": (_with(n=0), 400, "n"),
    "n of a thousand": (_with(n=1000), 400, "n"),
    "max_tokens negative": (_with(max_tokens=-1), 400, "max_tokens"),
    "max_tokens a fraction": (_with(max_tokens=1.5), 400, "max_tokens"),
    "max_tokens a string": (_with(max_tokens="many"), 400, "max_tokens"),
    "stream_options a list": (_with(stream=True, stream_options=[]), 400, "stream_options"),
    "temperature a string": (_with(temperature="hot"), 400, "temperature"),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(name: str, gateway: Gateway, upstream: Upstream) -> None:
    body, status, param = BODIES[name]
    answer = gateway.request("POST", PATH, body)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")
    if param is not None:
        assert answer.error["param"] == param
    assert answer.error["message"]
    assert upstream.received == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "unknown_url"),
        ("GET", "/v1/nonsense", 404, "unknown_url"),
        ("POST", "/v1/chat/completions/", 404, "unknown_url"),
        ("POST", "/v1/../v1/chat/completions", 404, "unknown_url"),
        ("POST", "//v1/chat/completions", 404, "unknown_url"),
        ("GET", "/v1/models/", 404, "unknown_url"),
        ("GET", "/v1/models/nope", 404, "model_not_found"),
        ("GET", PATH, 405, "method_not_allowed"),
        ("DELETE", PATH, 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("PATCH", "/healthz", 405, "method_not_allowed"),
    ],
)
def test_paths_and_methods(
    method: str, path: str, status: int, code: str, gateway: Gateway, upstream: Upstream
) -> None:
    answer = gateway.request(method, path, _with())
    assert (answer.status, answer.error["code"]) == (status, code)
    if status == 405:
        assert answer.headers["allow"]
    assert upstream.received == []


@pytest.mark.parametrize("key", ["", "nonsense", "sk-km-" + "a" * 43, "sk-km-ünknown"])
def test_keys_that_are_none(key: str, gateway: Gateway, upstream: Upstream) -> None:
    answer = gateway.request(
        "POST", PATH, _with(), {"Authorization": f"Bearer {key}".encode("latin-1").decode("latin-1")}
    )
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    if key:
        assert key not in answer.error["message"]
    assert upstream.received == []


def test_a_revoked_key_is_refused_within_a_second(gateway: Gateway, upstream: Upstream) -> None:
    key = gateway.create_key("to-be-revoked")
    assert gateway.chat(key).status == 200
    assert komeet("key", "revoke", "to-be-revoked", data_dir=gateway.data_dir).returncode == 0
    end = time.monotonic() + 10
    while (answer := gateway.chat(key)).status == 200 and time.monotonic() < end:
        time.sleep(0.05)
    assert answer.status == 401
    assert "revoked" in answer.error["message"]


def test_an_expired_key_is_refused(gateway: Gateway, upstream: Upstream) -> None:
    _, key = create_key(gateway.files.ledger, SystemClock(), name="expired", expires_at=1)
    answer = gateway.chat(key.reveal())
    assert answer.status == 401
    assert "expired" in answer.error["message"]


def test_a_key_may_use_only_its_models(gateway: Gateway, upstream: Upstream) -> None:
    key = gateway.create_key("narrow", "--models", "gpt-4o*", "--models", "openai/o3")
    assert gateway.chat(key, model="gpt-4o-mini").status == 200
    assert gateway.chat(key, model="o3").status == 200
    answer = gateway.chat(key)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (403, "not_allowed", "model")
    ids = [row["id"] for row in gateway.request("GET", "/v1/models", key=key).json["data"]]
    assert "gpt-4o-mini" in ids
    assert "gpt-5.2" not in ids
    assert gateway.request("GET", "/v1/models/gpt-5.2", key=key).status == 404


def _raw(gateway: Gateway, data: bytes, *, close: bool = False) -> bytes:
    """Send bytes and return what comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
        connection.sendall(data)
        if close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        ("no host", b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("two hosts", b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (
            "length and chunked",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("length no number", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: three\r\n\r\n", 400),
        ("unknown coding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("huge header", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", 431),
        ("many headers", b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 500 + b"\r\n", 431),
        ("body too large", b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
        ("version", b"GET /healthz HTTP/3.7\r\nHost: a\r\n\r\n", None),
    ],
)
def test_what_is_not_http(name: str, data: bytes, status: int | None, gateway: Gateway, upstream: Upstream) -> None:
    received = _raw(gateway, data)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 ")
    got = int(head.split(b" ")[1])
    assert got == status or (status is None and got in {400, 505})
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    assert upstream.received == []


def test_half_a_request_and_gone(gateway: Gateway, upstream: Upstream) -> None:
    head = b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"
    _raw(gateway, head, close=True)
    assert gateway.chat().status == 200
    assert len(upstream.received) == 1


def test_the_provider_s_refusal_is_handed_on_and_costs_nothing(gateway: Gateway, upstream: Upstream) -> None:
    refusal = {"error": {"message": "Nope.", "type": "invalid_request_error", "param": "messages[0]", "code": None}}
    upstream.answer = lambda _: whole(refusal, 400)
    answer = gateway.chat()
    assert answer.status == 400
    assert answer.json == refusal


@pytest.fixture(scope="module", autouse=True)
def nothing_was_charged_but_the_good_calls(gateway: Gateway) -> Iterator[None]:
    """At the end: every settled call is one that the provider answered with success."""
    yield
    end = time.monotonic() + 20
    while (total := gateway.total()).held and time.monotonic() < end:
        time.sleep(0.01)
    assert total.held == 0
    assert total.orphans == 0
