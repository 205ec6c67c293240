"""Only what can mean nothing else is this machine."""

import pytest

from komeet.core.hosts import is_this_machine


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "::1"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize(
    "host",
    ["", "127.example.com", "127.0.0.1.example.com", "localhost.example.com", "10.0.0.1", "0.0.0.0", "::", "::2"],
)
def test_nothing_else_is(host: str) -> None:
    assert not is_this_machine(host)
