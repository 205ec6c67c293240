"""Messages arrive whole, in order and as they were, however a socket cuts them; secrets do not show in logs."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.serving.messages import (
    BadMessageError,
    Located,
    Measured,
    NotLocated,
    Orders,
    Ready,
    Retire,
    Scrape,
    Unpacker,
    packed,
    read_first,
    to_supervisor,
    to_worker,
)
from komeet.telemetry.samples import Family

FAMILY = Family(name="a", text="b", kind="counter", samples=[("a_total", (("model", "ü\n"),), 1.5)])
TO_SUPERVISOR = [Ready(example=None), Scrape(number=7), Measured(number=1, families=[FAMILY])]


@given(st.lists(st.integers(1, 40), min_size=1))
def test_however_they_are_cut(sizes: list[int]) -> None:
    data = b"".join(map(packed, TO_SUPERVISOR))
    unpacker, start = Unpacker(), 0
    found: list[bytes] = []
    while start < len(data):
        for size in sizes:
            found += unpacker.feed(data[start : start + size])
            start += size
    assert [to_supervisor(body) for body in found] == TO_SUPERVISOR


def test_the_other_way() -> None:
    sent = [
        Retire(seconds=1.5),
        Located(number=1, host="h", port=2, key="k"),
        NotLocated(number=2, message="no", retry_after=None),
    ]
    assert [to_worker(body) for body in Unpacker().feed(b"".join(map(packed, sent)))] == sent


def test_what_cannot_be_a_length_is_refused() -> None:
    with pytest.raises(BadMessageError):
        Unpacker().feed(b"GET / HTTP/1.1\r\n")


def test_the_first_message_is_waited_for() -> None:
    orders = Orders(config="a: b", data_dir="/tmp", session="wrk_1")
    ours, its = socket.socketpair()
    with ours, its:
        ours.sendall(packed(orders) + packed(Retire(seconds=1)))
        assert read_first(its, Orders) == orders
        with pytest.raises(BadMessageError):
            read_first(its, Orders)
        ours.close()
        assert read_first(its, Orders) is None


def test_secrets_do_not_show() -> None:
    shown = repr(Orders(config="api_key: sk-canary", data_dir="/", session="")) + repr(
        Located(number=1, host="", port=1, key="sk-canary")
    )
    assert "canary" not in shown
