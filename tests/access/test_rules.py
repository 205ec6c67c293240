"""Who may use what."""

import pytest

from komeet.access.keys import Key, digest, mint
from komeet.access.rules import bearer, from_this_machine, presented, with_key_in_header
from komeet.core.http import HttpRequest
from komeet.core.money import Nano


def _key(*models: str) -> Key:
    return Key(id="key_1", name="k", digest=b"", hint="abcd", account=1, budget=Nano(0), models=models, created_at=0)


def test_keys_are_long_and_never_alike() -> None:
    made = {mint().reveal() for _ in range(100)}
    assert len(made) == 100
    assert all(key.startswith("sk-km-") and len(key) == 6 + 43 for key in made)
    assert all(key.removeprefix("sk-km-").isalnum() for key in made)  # or a hint could read as an option: `-Ab4`
    assert len(digest(made.pop())) == 32


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (b"Bearer sk-km-x", "sk-km-x"),
        (b"bearer  sk-km-x ", "sk-km-x"),
        (b"Basic abc", None),
        (b"Bearer ", None),
        (b"sk-km-x", None),
        (b"Bearer \xff\xfe", "\xff\xfe"),
    ],
)
def test_bearer(value: bytes, token: str | None) -> None:
    assert bearer({b"authorization": value}) == token


def test_no_header_is_no_key() -> None:
    assert bearer({}) is None


def test_models_are_allowed_by_pattern() -> None:
    assert _key().allows("anything")
    assert _key("gpt-5*").allows("gpt-5.2", "openai/gpt-5.2")
    assert _key("openai/*").allows("gpt-5.2", "openai/gpt-5.2")
    assert not _key("openai/*").allows("gpt-5.2", "azure/gpt-5.2")


HERE = {b"host": b"127.0.0.1:4000"}


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1"])
@pytest.mark.parametrize(
    "host", [b"127.0.0.1:4000", b"127.0.0.1", b"LocalHost:4000", b"localhost", b"[::1]:4000", b"[::1]"]
)
def test_this_machine_is_who_connects_from_it_and_means_it(peer: str, host: bytes) -> None:
    assert from_this_machine(peer, {b"host": host})


@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "", "localhost"])
def test_another_machine_is_another_machine(peer: str) -> None:
    assert not from_this_machine(peer, HERE)


@pytest.mark.parametrize(
    "field", [b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"]
)
def test_a_passed_on_connection_is_not_from_this_machine(field: bytes) -> None:
    assert not from_this_machine("127.0.0.1", HERE | {field: b""})


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example:4000",
        b"127.0.0.1.evil.example",
        b"localhost.evil.example",
        b"10.0.0.1:4000",
        b"0.0.0.0",
        b"[::2]",
        b"",
    ],
)
def test_a_web_page_whose_name_leads_here_is_not_this_machine(host: bytes) -> None:
    assert not from_this_machine("127.0.0.1", {b"host": host})
    assert not from_this_machine("127.0.0.1", {})


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({b"x-goog-api-key": b"sk-km-g"}, "sk-km-g"),
        ({b"x-goog-api-key": b"AIza", b"authorization": b"Bearer sk-km-b"}, "sk-km-b"),
        ({b"x-goog-api-key": b"sk-km-g", b"x-api-key": b"sk-km-a"}, "sk-km-a"),
        ({b"x-api-key": b"sk-ant", b"x-goog-api-key": b"AIza"}, "sk-ant"),
        ({b"x-goog-api-key": b" "}, None),
    ],
)
def test_of_several_keys_the_one_of_ours_is_taken(headers: dict[bytes, bytes], shown: str | None) -> None:
    assert presented(headers, "sk-km-") == shown


@pytest.mark.parametrize(
    ("query", "headers", "key", "rest"),
    [
        (b"key=sk-km-x&alt=sse", {}, b"sk-km-x", b"alt=sse"),
        (b"alt=sse", {}, None, b"alt=sse"),
        (b"key=", {}, None, b""),
        (b"key=sk-km-x", {b"x-goog-api-key": b"sk-km-y"}, b"sk-km-y", b""),
        (b"key=%73k-km-x", {}, b"sk-km-x", b""),
    ],
)
def test_a_key_in_an_address_is_moved_where_nothing_logs_it(
    query: bytes, headers: dict[bytes, bytes], key: bytes | None, rest: bytes
) -> None:
    request = HttpRequest(method="POST", path="/", query=query, headers=headers, arrived=0.0)
    moved = with_key_in_header(request)
    assert moved.headers.get(b"x-goog-api-key") == key
    assert moved.query == rest
