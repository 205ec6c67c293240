"""Who may use what."""

import pytest

from komeet.access.keys import Key, digest, mint
from komeet.access.rules import bearer, from_this_machine
from komeet.core.money import Nano


def _key(*models: str) -> Key:
    return Key(id="key_1", name="k", digest=b"", hint="abcd", account=1, budget=Nano(0), models=models, created_at=0)


def test_keys_are_long_and_never_alike() -> None:
    made = {mint().reveal() for _ in range(100)}
    assert len(made) == 100
    assert all(key.startswith("sk-km-") and len(key) == 6 + 43 for key in made)
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


def test_a_passed_on_connection_is_not_from_this_machine() -> None:
    assert from_this_machine("127.0.0.1", {})
    assert from_this_machine("::1", {})
    assert not from_this_machine("10.0.0.1", {})
    assert not from_this_machine("", {})
    assert not from_this_machine("127.0.0.1", {b"x-forwarded-for": b"8.8.8.8"})
    assert not from_this_machine("127.0.0.1", {b"forwarded": b"for=8.8.8.8"})
