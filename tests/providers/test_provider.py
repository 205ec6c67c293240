import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet import __version__
from komeet.core.http import Deadlines, Origin
from komeet.core.secrets import Secret
from komeet.providers.provider import make, outgoing

KEY = Secret("sk-very-secret")


def test_an_outgoing_request_goes_where_the_provider_is_with_its_key() -> None:
    provider = make(
        name="p",
        base_url="https://api.example.com/v1",
        credential=KEY,
        headers={"X-Team": "blue"},
        deadlines=Deadlines(total=5),
    )
    request = outgoing(
        provider,
        wire="openai_chat",
        at_ms=0,
        path="/chat/completions",
        body=b"{}",
        headers=((b"x-one", b"1"),),
    )
    assert request.origin == Origin("https", "api.example.com", 443)
    assert (request.method, request.target, request.body) == ("POST", "/v1/chat/completions", b"{}")
    assert request.deadlines.total == 5
    assert dict(request.headers) == {
        b"content-type": b"application/json",
        b"accept": b"application/json",
        b"accept-encoding": b"identity",
        b"user-agent": f"komeet/{__version__}".encode(),
        b"authorization": b"Bearer sk-very-secret",
        b"x-team": b"blue",
        b"x-one": b"1",
    }
    assert len(request.headers) == len(dict(request.headers))


def test_a_stream_is_asked_for_as_one_and_no_key_is_no_header() -> None:
    provider = make(name="p", base_url="http://localhost:8000")
    request = outgoing(
        provider, wire="openai_chat", at_ms=0, path="/chat/completions", body=b"{}", accept=b"text/event-stream"
    )
    assert request.target == "/chat/completions"
    headers = dict(request.headers)
    assert headers[b"accept"] == b"text/event-stream"
    assert b"authorization" not in headers


def test_no_representation_holds_the_key() -> None:
    provider = make(name="p", base_url="https://api.example.com/v1", credential=KEY)
    assert "very-secret" not in repr(provider)
    assert "very-secret" not in str(provider)


def test_a_provider_can_be_at_another_address() -> None:
    provider = make(name="local", base_url="http://127.0.0.1/v1").at(Origin("http", "127.0.0.1", 4711), KEY)
    request = outgoing(provider, wire="openai_chat", at_ms=0, path="/chat/completions", body=b"")
    assert request.origin.port == 4711
    assert request.target == "/v1/chat/completions"
    assert (b"authorization", b"Bearer sk-very-secret") in request.headers


@given(st.text(min_size=1, max_size=20))
def test_a_key_that_cannot_stand_in_a_header_is_refused_and_not_shown(text: str) -> None:
    if all("!" <= character <= "~" for character in text):
        assert make(name="p", base_url="https://h", credential=Secret(text)).credential == Secret(text)
        return
    with pytest.raises(ValueError, match="a key is printable ASCII") as refused:
        make(name="p", base_url="https://h", credential=Secret("QQQ" + text))
    assert "QQQ" not in str(refused.value)


@pytest.mark.parametrize("name", ["Host", "authorization", "Content-Length", "transfer-encoding", "a b", "", "x:y"])
def test_headers_that_frame_or_authorise_are_not_for_configuration(name: str) -> None:
    with pytest.raises(ValueError, match="header"):
        make(name="p", base_url="https://h", headers={name: "1"})


@pytest.mark.parametrize("value", ["a\r\nb: c", "\x00", "é"])
def test_header_values_cannot_break_out(value: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        make(name="p", base_url="https://h", headers={"x-a": value})
