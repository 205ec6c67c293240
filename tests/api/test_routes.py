"""Paths and methods; errors of every kind have OpenAI's shape and an id of ours."""

import json
import logging
import re

import pytest
from msgspec.structs import replace
from tests.api.test_access import application, ask, error, exposition
from tests.pipeline.fakes import FakeKeys, World, key

from komeet.api.application import Application
from komeet.api.surfaces import routes
from komeet.core.http import HttpRequest
from komeet.pipeline.admission import Admission


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 404, None),
        ("GET", "/v1", 404, None),
        ("GET", "/v1/models/", 404, None),
        ("GET", "/V1/models", 404, None),
        ("GET", "/v1/models%2Fm", 404, None),
        ("GET", "/v1//models", 404, None),
        ("GET", "/v1/../metrics", 404, None),
        ("GET", "/%6detrics", 404, None),
        ("GET", "/metrics/", 404, None),
        ("GET", "//metrics", 404, None),
        ("POST", "/v1/chat/completions/", 404, None),
        ("OPTIONS", "/v1", 404, None),
        ("GET", "/v1/chat/completions", 405, b"OPTIONS, POST"),
        ("HEAD", "/v1/chat/completions", 405, b"OPTIONS, POST"),
        ("get", "/v1/models", 405, b"GET, HEAD, OPTIONS"),
        ("POST", "/v1/models", 405, b"GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/models/m", 405, b"GET, HEAD, OPTIONS, POST"),
        ("POST", "/metrics", 405, b"GET, HEAD, OPTIONS"),
    ],
)
def test_what_there_is_not(method: str, path: str, status: int, allow: bytes | None) -> None:
    reply = ask(application(key()), method, path)
    assert reply.status == status
    assert reply.headers.get(b"allow") == allow
    assert error(reply)["code"] == ("unknown_url" if status == 404 else "method_not_allowed")
    assert re.fullmatch(rb"req_[0-9a-f]{32}", reply.headers[b"x-request-id"])


def test_a_long_path_is_not_repeated_in_full() -> None:
    assert len(ask(application(key()), "GET", "/" + "x" * 10_000).body) < 1_000


def test_ids_are_ours_whatever_a_caller_sends() -> None:
    app = application(key())
    for path in ("/v1/models", "/nowhere"):
        sent = {b"x-request-id": b"req_mine", b"traceparent": b"req_mine"}
        ids = {ask(app, "GET", path, headers=sent).headers[b"x-request-id"] for _ in range(3)}
        assert len(ids) == 3
        assert b"req_mine" not in ids


def test_a_fault_of_ours_is_said_without_its_details(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> dict[str, str]:
        raise RuntimeError("secret detail")

    ports = World().ports
    app = Application(routes(ports, broken, exposition), ports)
    caplog.set_level(logging.CRITICAL, "komeet.api")
    reply = ask(app, "GET", "/readyz")
    assert (reply.status, error(reply)["code"]) == (500, "internal_error")
    assert b"secret detail" not in reply.body


def test_readiness_says_what_is_missing() -> None:
    ports = World().ports
    app = Application(routes(ports, lambda: {"ledger": "it cannot be written"}, exposition), ports)
    reply = ask(app, "GET", "/readyz")
    assert reply.status == 503
    assert json.loads(reply.body) == {"status": "not ready", "missing": {"ledger": "it cannot be written"}}
    assert ask(app, "GET", "/healthz").status == 200


def listed(world: World, *, keys: FakeKeys | None = None, models: tuple[str, ...] = ()) -> Application:
    ports = replace(world.ports, keys=keys or FakeKeys(key(models=models), in_hand=True))
    return Application(routes(ports, dict, exposition), ports)


def test_models_are_listed_for_those_who_may_use_them() -> None:
    world = World(models=("m", "n/o"))
    everything = json.loads(ask(listed(world), "GET", "/v1/models").body)
    assert everything["object"] == "list"
    assert [row["id"] for row in everything["data"]] == ["m", "n/o"]
    assert everything["data"][0] == {
        "id": "m",
        "object": "model",
        "created": 0,
        "owned_by": "maker",
        "provider": "maker",
        "type": "chat",
        "priced": True,
    }
    assert [row["id"] for row in json.loads(ask(listed(world, models=("n/*",)), "GET", "/v1/models").body)["data"]] == [
        "n/o"
    ]


def test_the_list_of_one_key_is_not_given_to_another() -> None:
    keys = FakeKeys(key(models=("m",)), in_hand=True)
    app = listed(World(models=("m", "n/o")), keys=keys)
    assert b"n/o" not in ask(app, "GET", "/v1/models").body
    keys.key = key(models=("n/o",))
    assert b'"m"' not in ask(app, "GET", "/v1/models").body


@pytest.mark.parametrize(
    ("path", "status", "name"),
    [
        ("m", 200, "m"),
        ("maker/m", 200, "maker/m"),
        ("maker%2Fm", 200, "maker/m"),
        ("maker/never-heard-of", 200, "maker/never-heard-of"),
        ("%20m", 404, None),
        ("m%0A", 404, None),
        ("nonsense", 404, None),
        ("n/o", 404, None),
        ("maker/n/o", 404, None),
    ],
)
def test_one_model_by_any_name_that_a_call_may_use(path: str, status: int, name: str | None) -> None:
    app = listed(World(models=("m", "n/o")), models=("m", "maker/never-*"))
    reply = ask(app, "GET", "/v1/models/" + path)
    assert reply.status == status
    if name is not None:
        assert json.loads(reply.body)["id"] == name
    else:
        assert error(reply)["code"] == "model_not_found"


def test_a_call_too_many_is_answered_at_once_and_what_is_no_call_is_not() -> None:
    ports = replace(World().ports, admission=Admission(0, 0))
    app = Application(routes(ports, dict, exposition), ports)
    ids: set[bytes] = set()
    for path, name in (("/v1/chat/completions", b"x-request-id"), ("/v1/messages", b"request-id")):
        for _ in range(2):
            answer = app.shed(HttpRequest(method="POST", path=path, headers={}, arrived=0.0))
            assert answer is not None
            status, headers, body = answer
            fields = dict(headers)
            assert (status, fields[b"retry-after"]) == (503, b"1")
            assert json.loads(body)["error"]["message"].startswith("As many calls are under way")
            ids.add(fields[name])
    assert len(ids) == 4
    assert ports.admission.shed == 4
    for method, path in (
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        ("GET", "/v1/models"),
        ("OPTIONS", "*"),
        ("GET", "/x"),
    ):
        assert app.shed(HttpRequest(method=method, path=path, headers={}, arrived=0.0)) is None
    ports = replace(ports, admission=Admission())
    assert (
        Application(routes(ports, dict, exposition), ports).shed(
            HttpRequest(method="POST", path="/v1/messages", headers={}, arrived=0.0)
        )
        is None
    )
