"""Several keys of one provider take turns by weight, evenly; and none shows itself."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.core.errors import InternalError
from komeet.core.secrets import Secret
from komeet.providers.credential import Credential, FromFile, next_turn
from komeet.providers.provider import make, outgoing
from komeet.providers.token import printed


def of(weights: Sequence[int]) -> list[Credential]:
    return [Credential(name=str(place), weight=weight) for place, weight in enumerate(weights)]


def turns(credentials: Sequence[Credential], count: int) -> list[str]:
    balance: Mapping[str, int] = {}
    names: list[str] = []
    for _ in range(count):
        chosen, balance = next_turn(credentials, balance)
        assert chosen is not None
        names.append(chosen.name)
    return names


def test_three_to_one_comes_in_turns_and_not_in_runs() -> None:
    assert turns(of([3, 1]), 8) == ["0", "0", "1", "0"] * 2


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 3))
def test_each_has_exactly_its_part_of_every_round(weights: list[int], rounds: int) -> None:
    counted = Counter(turns(of(weights), rounds * sum(weights)))
    assert counted == {str(place): rounds * weight for place, weight in enumerate(weights)}


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 200))
def test_nobody_is_ever_a_whole_turn_short_for_each_of_the_others(weights: list[int], calls: int) -> None:
    counted = Counter(turns(of(weights), calls))
    for place, weight in enumerate(weights):
        assert abs(counted[str(place)] - calls * weight / sum(weights)) < max(len(weights), 2)


def test_one_that_may_not_be_used_is_left_out_and_owes_nothing_afterwards() -> None:
    credentials = of([1, 1])
    balance: Mapping[str, int] = {}
    for _ in range(10):
        chosen, balance = next_turn(credentials, balance, lambda one: one.name == "1")
        assert chosen is not None
        assert chosen.name == "1"
    assert {"0", "1"} == {str(one and one.name) for one, _ in [next_turn(credentials, balance)]} | set(
        turns(of([1, 1]), 2)
    )
    assert next_turn(credentials, balance, lambda _: False) == (None, balance)
    assert next_turn([], {}) == (None, {})


def test_what_is_no_longer_there_is_forgotten() -> None:
    _, balance = next_turn(of([1, 1]), {"gone": 5})
    assert "gone" not in balance


def test_a_call_is_shown_the_key_that_was_chosen() -> None:
    first, second = (Credential(name=name, secret=Secret(f"key-{name}")) for name in "ab")
    provider = make(name="p", base_url="https://h/v1").holding((first, second))
    assert provider.credential == Secret("key-a")

    def shown(credential: Credential | None) -> bytes:
        made = outgoing(provider, wire="openai_chat", path="/x", body=b"", at_ms=0, credential=credential)
        return dict(made.headers)[b"authorization"]

    assert shown(None) == b"Bearer key-a"
    assert shown(second) == b"Bearer key-b"
    assert shown(second.with_secret(Secret("key-c"))) == b"Bearer key-c"


def test_no_call_goes_out_without_the_key_that_it_should_have() -> None:
    provider = make(name="p", base_url="https://h/v1").holding((Credential(source=FromFile(path="/x")),))
    assert provider.credential is None
    with pytest.raises(InternalError):
        outgoing(provider, wire="openai_chat", path="/x", body=b"", at_ms=0)


def test_no_key_is_left_in_what_a_provider_said_nor_in_any_representation() -> None:
    keys = tuple(Credential(name=name, secret=Secret(f"canary-{name}")) for name in "ab")
    provider = make(name="p", base_url="https://h/v1").holding(keys)
    assert "canary" not in repr(provider)
    fresh = keys[0].with_secret(Secret("canary-c"))
    assert provider.without_secrets(b"canary-a canary-b canary-c", fresh) == b"*** *** ***"


@pytest.mark.parametrize("wrong", ["", "a b", "a\nb", "é"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(wrong: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as refused:
        Credential().with_secret(Secret(wrong and f"QQQ{wrong}"))
    assert "QQQ" not in str(refused.value)


# ------------------------------------------------------------------ what a program prints

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("text", "key", "seconds"),
    [
        (b"sk-1\n", "sk-1", 60.0),
        (b'{"key": "sk-1"}', "sk-1", 60.0),
        (b'{"key": "sk-1", "expires": 1800000100, "more": true}', "sk-1", 100.0),
        (b'{"key": "sk-1", "expires": "2027-01-15T08:01:40Z"}', "sk-1", 100.0),
        (b'{"key": "sk-1", "expires": "2027-01-15T09:01:40+01:00"}', "sk-1", 100.0),
    ],
)
def test_a_program_prints_a_key_and_may_say_how_long_it_is_good_for(text: bytes, key: str, seconds: float) -> None:
    found = printed(text, at_ms=NOW, expires=60.0)
    assert found.secret == Secret(key)
    assert found.seconds == pytest.approx(seconds)
    assert key not in repr(found)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b" \n", "printed nothing"),
        (b"\xff", "no key"),
        (b'{"token": "canary"}', "without a `key`"),
        (b'{"key": "canary", "expires": "soon"}', "neither RFC 3339"),
        (b'{"key": "canary", "expires": "2027-01-15T08:01:40"}', "without a time zone"),
        (b'{"key": "canary", "expires": 1799999999}', "has expired"),
    ],
)
def test_what_is_no_key_is_named_and_not_shown(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        printed(text, at_ms=NOW, expires=60.0)
    assert "canary" not in str(refused.value)
