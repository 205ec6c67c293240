"""OPTIONS, and which web pages may call the API from a browser."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace
from tests.api.test_access import Keys, ask, exposition
from tests.pipeline.fakes import World, key

from komeet.api.application import Application
from komeet.api.cors import Cors
from komeet.api.surfaces import routes

PAGE = b"https://app.example.com"
ASKED = {
    b"origin": PAGE,
    b"access-control-request-method": b"POST",
    b"access-control-request-headers": b"authorization,content-type,x-stainless-os",
}


def application(*origins: str) -> Application:
    ports = replace(World().ports, keys=Keys(key(), in_hand=True))
    return Application(routes(ports, dict, exposition), ports, Cors(origins) if origins else None)


def granted(headers: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    return {name: value for name, value in headers.items() if name.startswith(b"access-control-") or name == b"vary"}


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/chat/completions", b"OPTIONS, POST"),
        ("/v1/models", b"GET, HEAD, OPTIONS"),
        ("/metrics", b"GET, HEAD, OPTIONS"),
        ("*", b"GET, HEAD, OPTIONS, POST"),
    ],
)
def test_options_says_what_a_path_takes(path: str, allow: bytes) -> None:
    for app in (application(), application("*")):
        reply = ask(app, "OPTIONS", path, secret=None)
        assert (reply.status, reply.body, reply.headers) == (204, b"", {b"allow": allow})
    assert ask(application(), "OPTIONS", "/nonsense", secret=None).status == 404
    assert ask(application(), "GET", "*").status == 404


@pytest.mark.parametrize("app", [application(), application("https://another.example")])
def test_no_page_may_unless_it_is_named(app: Application) -> None:
    assert granted(ask(app, "OPTIONS", "/v1/chat/completions", secret=None, headers=ASKED).headers) == {}
    assert granted(ask(app, "GET", "/v1/models", headers=ASKED).headers) == {}


def test_a_named_page_may() -> None:
    app = application("https://another.example", "https://APP.example.com/")
    headers = ask(app, "OPTIONS", "/v1/chat/completions", secret=None, headers=ASKED).headers
    assert granted(headers) == {
        b"access-control-allow-origin": PAGE,
        b"vary": b"Origin",
        b"access-control-allow-methods": b"OPTIONS, POST",
        b"access-control-allow-headers": b"authorization,content-type,x-stainless-os",
        b"access-control-max-age": b"3600",
    }
    for secret, status in ((None, 401), ("sk-km-a-key-of-the-tests", 200)):
        reply = ask(app, "GET", "/v1/models", secret=secret, headers={b"origin": PAGE})
        assert reply.status == status
        assert reply.headers[b"access-control-allow-origin"] == PAGE
        assert b"x-request-id" in reply.headers[b"access-control-expose-headers"]
        assert b"access-control-allow-credentials" not in reply.headers
    for origin in (b"https://app.example.com.evil.example", b"http://app.example.com", b"null", b""):
        assert granted(ask(app, "GET", "/v1/models", headers={b"origin": origin}).headers) == {}
    assert granted(ask(app, "GET", "/v1/models").headers) == {}


def test_any_page_may_where_that_is_said_but_not_what_is_for_this_machine() -> None:
    app = application("*")
    assert ask(app, "GET", "/v1/models", headers={b"origin": PAGE}).headers[b"access-control-allow-origin"] == b"*"
    for path in ("/metrics", "/healthz", "/readyz"):
        here = {b"origin": PAGE}
        reply = ask(app, "GET", path, secret=None, peer="127.0.0.1", headers=here)
        assert reply.status == 200
        assert granted(reply.headers) == {}
        assert granted(ask(app, "OPTIONS", path, secret=None, headers=ASKED).headers) == {}


def test_what_a_browser_asks_for_is_repeated_only_where_it_is_names() -> None:
    asked = ASKED | {b"access-control-request-headers": b"a: b"}
    headers = ask(application("*"), "OPTIONS", "/v1/models", secret=None, headers=asked).headers
    assert b"access-control-allow-headers" not in headers
    assert b"access-control-allow-methods" in headers
