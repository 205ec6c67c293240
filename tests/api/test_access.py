"""Who may use which route: the whole table, route by route."""

import asyncio
import json
from collections.abc import Mapping

import pytest
from msgspec.structs import replace
from tests.pipeline.fakes import SECRET, FakeKeys, FakeReply, World, key

from komeet.access.keys import Key
from komeet.access.rules import Access
from komeet.api.application import Application
from komeet.api.routes import Route
from komeet.api.surfaces import routes
from komeet.core.errors import Unavailable
from komeet.core.http import HttpRequest, Reply

KEYS: Mapping[str, Key | None] = {
    "no key": None,
    "unknown": key(),
    "revoked": key(revoked_at=1),
    "expired": key(expires_at=1),
    "valid": key(),
}
OPEN = dict.fromkeys(KEYS, 200)
SHUT = dict.fromkeys(KEYS, 401)
EXPECTED: Mapping[tuple[str, str], Mapping[str, int]] = {
    # A call without a body gets past the key, and no further.
    ("POST", "/v1/chat/completions"): SHUT | {"valid": 400},
    ("POST", "/v1/completions"): SHUT | {"valid": 400},
    ("POST", "/v1/embeddings"): SHUT | {"valid": 400},
    ("POST", "/v1/moderations"): SHUT | {"valid": 400},
    ("POST", "/v1/rerank"): SHUT | {"valid": 400},
    ("POST", "/v1/images/generations"): SHUT | {"valid": 400},
    ("POST", "/v1/images/edits"): SHUT | {"valid": 400},
    ("POST", "/v1/audio/speech"): SHUT | {"valid": 400},
    ("POST", "/v1/audio/transcriptions"): SHUT | {"valid": 400},
    ("POST", "/v1/audio/translations"): SHUT | {"valid": 400},
    ("POST", "/v1/responses"): SHUT | {"valid": 400},
    ("POST", "/v1/messages"): SHUT | {"valid": 400},
    ("POST", "/v1/messages/count_tokens"): SHUT | {"valid": 400},
    ("POST", "/v1/models/"): SHUT | {"valid": 404},  # `m` is followed by nothing that is to be done
    ("POST", "/v1beta/models/"): SHUT | {"valid": 404},
    ("GET", "/v1/models"): SHUT | {"valid": 200},
    ("GET", "/v1/models/"): SHUT | {"valid": 200},
    ("GET", "/v1beta/models"): SHUT | {"valid": 200},
    ("GET", "/v1beta/models/"): SHUT | {"valid": 200},
    ("POST", "/api/explain"): SHUT | {"valid": 400},
    ("GET", "/api/models"): OPEN,  # where the operator publishes it
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/metrics"): SHUT | {"valid": 200},
}
"""The status that somebody on another machine gets; routes that take a rest are asked for `m`."""


class Keys(FakeKeys):
    """A store that knows one key, or is out of reach."""

    async def find(self, digest: bytes) -> Key | None:
        if self.in_hand:
            return None
        raise Unavailable("The store of API keys is out of reach.")


async def exposition() -> bytes:
    return b"metrics"


def application(shown: Key, *, in_hand: bool = True) -> Application:
    ports = replace(World().ports, keys=Keys(shown, in_hand=in_hand))
    return Application(routes(ports, dict, exposition, public=True), ports)


def ask(
    app: Application,
    method: str,
    path: str,
    *,
    secret: str | None = SECRET,
    peer: str = "10.0.0.1",
    body: bytes = b"",
    headers: Mapping[bytes, bytes] | None = None,
) -> FakeReply:
    """Ask for something, from another machine unless told otherwise."""
    sent = {b"host": b"127.0.0.1:4000"} | dict(headers or {})
    if secret is not None:
        sent[b"authorization"] = b"Bearer " + secret.encode()
    reply = FakeReply()
    request = HttpRequest(method=method, path=path, headers=sent, body=body, arrived=0.0, peer=peer)
    asyncio.run(app.handle(request, reply))
    assert reply.finished
    return reply


def error(reply: FakeReply) -> dict[str, str]:
    """The error of a reply, whose shape is that of its surface: OpenAI's, Anthropic's, or Google's."""
    body = json.loads(reply.body)
    if "status" in body["error"]:
        assert set(body["error"]) == {"code", "message", "status", "details"}
        return body["error"]
    shape = {"message", "type"} if body.get("type") == "error" else {"message", "type", "param", "code"}
    assert set(body["error"]) == shape
    return body["error"]


def test_every_route_has_a_line_and_a_rule() -> None:
    table = application(key()).table.routes
    assert {(route.method, route.path) for route in table} == set(EXPECTED)
    assert {route.path for route in table if route.access is Access.PUBLIC} == {"/api/models", "/healthz", "/readyz"}


def test_the_list_for_everybody_is_there_only_where_it_is_published() -> None:
    ports = World().ports
    app = Application(routes(ports, dict, exposition), ports)
    for secret in (None, SECRET):
        reply = ask(app, "GET", "/api/models", secret=secret)
        assert (reply.status, error(reply)["code"]) == (404, "unknown_url")


@pytest.mark.parametrize("who", KEYS)
@pytest.mark.parametrize(("method", "path"), EXPECTED)
def test_who_gets_what(method: str, path: str, who: str) -> None:
    app = application(KEYS[who] or key())
    secret = {"no key": None, "unknown": "sk-km-another"}.get(who, SECRET)
    asked = path + "m" if path.endswith("/") else path
    status = EXPECTED[method, path][who]
    reply = ask(app, method, asked, secret=secret)
    assert reply.status == status
    if status == 401:
        said = error(reply)
        words = {"authentication_error", "invalid_api_key", "UNAUTHENTICATED"}
        assert words & {said.get("type"), str(said.get("code")), said.get("status")}
        assert SECRET not in reply.body.decode()
    if method == "GET":
        assert ask(app, "HEAD", asked, secret=secret).status == status


@pytest.mark.parametrize(("method", "path"), EXPECTED)
def test_while_the_keys_are_out_of_reach_nobody_is_let_in(method: str, path: str) -> None:
    app = application(key(), in_hand=False)
    asked = path + "m" if path.endswith("/") else path
    assert ask(app, method, asked).status == (200 if EXPECTED[method, path] is OPEN else 503)


def test_this_machine_sees_the_metrics_and_nothing_else() -> None:
    app = application(key())
    for method, path in EXPECTED:
        status = ask(app, method, path + "m" if path.endswith("/") else path, secret=None, peer="127.0.0.1").status
        assert status == (200 if path in {"/api/models", "/healthz", "/readyz", "/metrics"} else 401)
    for field in (b"x-forwarded-for", b"forwarded"):
        assert ask(app, "GET", "/metrics", secret=None, peer="127.0.0.1", headers={field: b"::1"}).status == 401
    evil = {b"host": b"evil.example:4000"}
    assert ask(app, "GET", "/metrics", secret=None, peer="127.0.0.1", headers=evil).status == 401
    assert ask(app, "GET", "/metrics", peer="127.0.0.1", headers=evil).status == 200


def test_what_is_for_this_machine_alone_is_for_no_key() -> None:
    async def handler(request: HttpRequest, reply: Reply) -> None:
        reply.whole(200, [], b"")

    route = Route(method="GET", path="/here", access=Access.MACHINE, handler=handler)
    app = Application([route], replace(World().ports, keys=Keys(key(), in_hand=True)))
    assert ask(app, "GET", "/here").status == 403
    assert ask(app, "GET", "/here", secret=None, peer="127.0.0.1").status == 200
    assert ask(app, "GET", "/here", peer="127.0.0.1", headers={b"host": b"evil.example"}).status == 403
