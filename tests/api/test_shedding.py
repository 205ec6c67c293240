"""What is refused before a call is made of it: while there is no room at all, or none for its key, or all are late."""

import json

from msgspec.structs import replace
from tests.api.test_access import exposition
from tests.pipeline.fakes import SECRET, FakeKeys, World, key

from komeet.api.application import Application, Refused
from komeet.api.surfaces import routes
from komeet.core.http import HttpRequest
from komeet.pipeline.admission import Admission
from komeet.pipeline.ports import Ports


class Late:
    """A loop that cannot keep up."""

    def refuses(self) -> bool:
        return True


def shed(
    app: Application, path: str = "/v1/chat/completions", method: str = "POST", token: str = SECRET
) -> Refused | None:
    headers = {b"authorization": f"Bearer {token}".encode()}
    return app.shed(HttpRequest(method=method, path=path, headers=headers, arrived=0.0))


def serving(ports: Ports, pressure: Late | None = None) -> Application:
    return Application(routes(ports, dict, exposition), ports, None, pressure)


def test_while_the_loop_is_late_calls_are_refused_and_what_is_no_call_is_not() -> None:
    ports = World().ports
    app = serving(ports, Late())
    refused = shed(app)
    assert refused is not None
    status, headers, body = refused
    assert (status, dict(headers)[b"retry-after"]) == (503, b"1")
    assert json.loads(body)["error"]["code"] == "overloaded"
    assert shed(app, "/healthz", "GET") is None
    assert shed(app, "/metrics", "GET") is None
    assert shed(app, "/v1/models", "GET") is None
    assert ports.admission.shed == 1


def test_a_key_that_has_as_many_calls_as_may_be_is_refused_and_others_are_not() -> None:
    admission = Admission(100, 1)
    ports = replace(World().ports, admission=admission, keys=FakeKeys(key(), in_hand=True))
    app = serving(ports)
    assert shed(app) is None
    call = World().call()
    call.key = key()
    admission.enter_key(call)
    refused = shed(app)
    assert refused is not None
    status, headers, body = refused
    assert (status, dict(headers)[b"retry-after"]) == (429, b"1")
    assert json.loads(body)["error"]["code"] == "rate_limit_exceeded"
    assert shed(app, token="sk-km-another") is None, "who is not known is judged by the handler"
    assert shed(app, token="") is None
    assert shed(app, "/v1/models", "GET") is None
    assert admission.shed == 1
    admission.leave(call)
    assert shed(app) is None


def test_a_revoked_key_is_told_that_and_not_to_come_again() -> None:
    admission = Admission(100, 1)
    ports = replace(World().ports, admission=admission, keys=FakeKeys(key(revoked_at=1), in_hand=True))
    call = World().call()
    call.key = key()
    admission.enter_key(call)
    assert shed(serving(ports)) is None
