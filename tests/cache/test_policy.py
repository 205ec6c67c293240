"""Who is answered from the cache, and for how long an answer is good."""

from typing import Any

import pytest

from komeet.access.keys import Key
from komeet.cache.policy import OfRoute, Policy, Wish, wish_of
from komeet.core.errors import WireError

USE = Wish(how="use")


def key(**more: Any) -> Key:
    fields: dict[str, Any] = {"id": "key_1", "name": "app", "digest": b"", "hint": "", "account": 1, "created_at": 0}
    return Key(**(fields | more))


def test_it_is_off_unless_somebody_who_may_says_otherwise() -> None:
    assert not Policy().possible
    assert Policy().ttl_of(key(), "m", USE) is None
    asked = Policy(on_request=True)
    assert asked.possible
    assert asked.ttl_of(key(), "m", Wish()) is None
    assert asked.ttl_of(key(), "m", USE) == 3_600
    assert asked.ttl_of(key(), "m", Wish(how="refresh")) == 3_600
    assert Policy(everywhere=True).ttl_of(key(), "m", Wish()) == 3_600


def test_a_route_may_differ_either_way() -> None:
    policy = Policy(routes={"on": OfRoute(ttl=5), "plain": OfRoute()})
    assert policy.possible
    assert [policy.ttl_of(key(), name, USE) for name in ("on", "plain", "other")] == [5, 3_600, None]
    policy = Policy(everywhere=True, routes={"off": OfRoute(enabled=False)})
    assert [policy.ttl_of(key(), name, Wish()) for name in ("off", "other")] == [None, 3_600]
    assert not Policy(routes={"off": OfRoute(enabled=False)}).possible


def test_a_caller_can_only_shorten_it() -> None:
    policy = Policy(everywhere=True, ttl=100)
    assert [policy.ttl_of(key(), "m", Wish(ttl=ttl)) for ttl in (1, 99, 1_000)] == [1, 99, 100]


def test_only_keys_that_may() -> None:
    policy = Policy(everywhere=True, on_request=True, keys=("app-*",), tags=("cached", "fast"))
    assert policy.ttl_of(key(name="app-1", tags=("fast",)), "m", USE) == 3_600
    assert policy.ttl_of(key(name="app-1"), "m", USE) is None
    assert policy.ttl_of(key(name="web", tags=("fast",)), "m", USE) is None


def test_a_tenant_is_a_key_or_its_organisation() -> None:
    """S5."""
    alone, one, other = key(), key(organisation="org_1"), key(id="key_2", organisation="org_1")
    assert Policy().tenant_of(one) != Policy().tenant_of(other)
    shared = Policy(shared_by="organisation")
    assert shared.tenant_of(one) == shared.tenant_of(other) != shared.tenant_of(alone)
    assert shared.tenant_of(key(organisation="key_1")) != shared.tenant_of(alone)


@pytest.mark.parametrize(
    ("headers", "wish"),
    [
        ({}, Wish()),
        ({b"x-komeet-cache": b"use"}, USE),
        ({b"x-komeet-cache": b"bypass", b"x-komeet-cache-ttl": b"7"}, Wish(how="bypass", ttl=7)),
        ({b"x-komeet-cache": b"refresh"}, Wish(how="refresh")),
    ],
)
def test_headers_say_what_the_caller_wants(headers: dict[bytes, bytes], wish: Wish) -> None:
    assert wish_of(headers) == wish


@pytest.mark.parametrize(
    "headers",
    [
        {b"x-komeet-cache": b"no"},
        {b"x-komeet-cache": b""},
        {b"x-komeet-cache-ttl": b"0"},
        {b"x-komeet-cache-ttl": b"-1"},
        {b"x-komeet-cache-ttl": b"1.5"},
        {b"x-komeet-cache-ttl": "١".encode()},
        {b"x-komeet-cache-ttl": b"99999999999"},
    ],
)
def test_what_they_cannot_mean_is_refused(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(WireError, match="x-komeet-cache"):
        wish_of(headers)
