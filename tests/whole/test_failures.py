"""A provider's failure is told as what it is; what was sent is settled or an orphan, and nothing else is charged."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from tests.whole.gateway import Gateway
from tests.whole.processes import until
from tests.whole.upstream import (  # fmt: skip
    DONE,
    LAST,
    STREAM,
    Close,
    Received,
    Reset,
    Step,
    Upstream,
    chunk,
    delta,
    event,
    stream,
    usage,
    whole,
)

from komeet.ledger.port import State

LAST_USAGE = event(choices=[], usage=usage(9, 4))
PIECES = [delta("One "), delta("two "), delta("three."), delta(finish="stop"), LAST_USAGE, DONE]


@pytest.mark.parametrize(
    ("status", "body", "content_type", "expected", "code"),
    [
        (500, {"error": {"message": "boom"}}, "application/json", 502, "upstream_error"),
        (502, b"<html>bad gateway</html>", "text/html", 502, "upstream_error"),
        (503, {"error": {"message": "busy"}}, "application/json", 503, "upstream_unavailable"),
        (529, {"error": {"message": "overloaded"}}, "application/json", 503, "upstream_unavailable"),
        (
            401,
            {"error": {"message": "Incorrect API key provided: sk-upstream-canary"}},
            "application/json",
            502,
            "upstream_auth",
        ),
        (402, {"error": {"message": "no credit"}}, "application/json", 502, "upstream_auth"),
        (403, {"error": {"message": "no"}}, "application/json", 502, "upstream_auth"),
        (429, {"error": {"message": "slow down"}}, "application/json", 429, "upstream_rate_limited"),
        (504, b"", "text/plain", 504, "upstream_timeout"),
        (200, b"<html>hello</html>", "text/html", 502, "upstream_garbled"),
        (200, b"{}", "application/json", 502, "upstream_garbled"),
        (200, b"\xff\xfe", "application/json", 502, "upstream_garbled"),
    ],
)
def test_statuses(
    status: int, body: object, content_type: str, expected: int, code: str, gateway: Gateway, upstream: Upstream
) -> None:
    upstream.answer = lambda _: whole(body, status, "Retry-After: 7\r\n", content_type)
    answer = gateway.chat()
    assert (answer.status, answer.error["code"]) == (expected, code)
    assert "sk-upstream-canary" not in answer.body.decode()
    if expected in {429, 503}:
        assert answer.headers["retry-after"] == "7"


def test_a_refusal_costs_nothing(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = lambda _: whole({"error": {"message": "boom"}}, 500)
    ended = gateway.outcome(gateway.chat().headers["x-request-id"])
    assert (ended.state, ended.cost) == (State.VOIDED, 0)


def test_nobody_listens(tmp_path_factory: pytest.TempPathFactory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    config = {"providers": [{"name": "openai", "base_url": f"http://127.0.0.1:{port}/v1", "api_key": "k"}]}
    with Gateway(tmp_path_factory.mktemp("komeet"), config) as gateway:
        answer = gateway.chat()
        assert (answer.status, answer.error["code"]) == (502, "upstream_unreachable")
        until(lambda: len(gateway.outcomes()) == 3)  # it was tried again
        assert {state for _, state in gateway.outcomes()} == {State.VOIDED}


@pytest.mark.parametrize("ending", [Close(), Reset()], ids=["fin", "rst"])
@pytest.mark.parametrize("count", range(len(PIECES)))
def test_a_stream_cut_after_any_event_never_passes_as_whole(
    count: int, ending: Step, gateway: Gateway, upstream: Upstream
) -> None:
    upstream.answer = lambda _: [STREAM, *(chunk(piece) for piece in PIECES[:count]), ending]
    answer = gateway.chat(stream=True)
    events = [json.loads(line[6:]) for line in answer.body.split(b"\n\n") if line.startswith(b"data: {")]
    errors = [one for one in events if one.get("error")]
    if answer.status == 200:
        assert len(errors) == 1
        assert errors[0]["error"]["code"] == "upstream_cut"
        assert events[-1] == errors[0]
    else:
        assert answer.status == 502
    assert DONE not in answer.body
    ended = gateway.outcome(answer.headers["x-request-id"])
    assert ended.state is State.SETTLED
    assert ended.estimated == (LAST_USAGE not in PIECES[:count])


@pytest.mark.parametrize(
    "error",
    [
        event(error={"message": "overloaded", "type": "server_error", "code": 503}),
        b'event: error\ndata: {"error": {"message": "gone", "status_code": 500}}\n\n',
    ],
    ids=["data", "event"],
)
def test_an_error_inside_a_stream_is_an_error(error: bytes, gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = lambda _: stream(delta("One "), error)
    answer = gateway.chat(stream=True)
    assert answer.body == delta("One ") + error
    ended = gateway.outcome(answer.headers["x-request-id"])
    assert (ended.state, ended.estimated) == (State.SETTLED, True)
    assert ended.usage.output > 0


def test_an_answer_shorter_than_it_says_is_cut(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer = lambda _: [whole({"x": "y" * 500})[0][:200], Close()]  # type: ignore[index]
    answer = gateway.chat()
    assert (answer.status, answer.error["code"]) == (502, "upstream_cut")
    assert gateway.outcome(answer.headers["x-request-id"]).state is State.ORPHAN


def test_pieces_of_any_size_are_the_same_stream(gateway: Gateway, upstream: Upstream) -> None:
    data = b"".join(PIECES)
    for size in (1, 7, 100):
        upstream.answer = lambda _, size=size: [
            STREAM, *(chunk(data[at : at + size]) for at in range(0, len(data), size)), LAST
        ]  # fmt: skip
        answer = gateway.chat(stream=True, stream_options={"include_usage": True})
        assert answer.body == data


@pytest.mark.parametrize("count", range(len(PIECES)))
def test_a_caller_that_leaves_after_any_event(count: int, gateway: Gateway, upstream: Upstream) -> None:
    """The provider's connection is closed, and there is one outcome."""
    proceed = threading.Event()

    def paced(_: Received) -> Iterator[Step]:
        yield STREAM + b"".join(chunk(piece) for piece in PIECES[:count])
        proceed.wait(20)
        # Enough that a closed connection is noticed.
        for _number in range(200):
            yield chunk(delta("more " * 200))
            time.sleep(0.005)

    upstream.answer = paced
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    body = json.dumps({"model": "gpt-5.2", "messages": [{"role": "user", "content": "Hi"}], "stream": True})
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {gateway.key}"})
    response = connection.getresponse()
    request_id = response.getheader("x-request-id")
    assert request_id is not None
    if count:
        response.read(len(PIECES[0]))
    response.close()
    connection.close()
    proceed.set()
    end = time.monotonic() + 20
    while upstream.left == 0 and time.monotonic() < end:
        time.sleep(0.02)
    assert upstream.left == 1
    ended = gateway.outcome(request_id)
    assert ended.state is State.SETTLED
    assert ended.estimated == (LAST_USAGE not in PIECES[:count])
