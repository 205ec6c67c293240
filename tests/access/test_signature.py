"""Signatures of webhooks: only those who have the secret can make one, of this body, now."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.access.signature import TOLERANCE, sign, verify
from komeet.core.errors import BadSignature
from komeet.core.secrets import Secret

SECRET = Secret("whsec-0123456789abcdef")
NOW = 1_700_000_000
BODY = b'{"id":"pay_1"}'


def test_it_is_hmac_sha256_over_the_time_and_the_body() -> None:
    wanted = hmac.new(SECRET.reveal().encode(), b"1700000000." + BODY, hashlib.sha256).hexdigest()
    assert sign(SECRET, BODY, NOW) == f"t=1700000000,v1={wanted}".encode()


@given(st.binary(max_size=200), st.integers(-TOLERANCE, TOLERANCE))
def test_what_was_signed_is_taken(body: bytes, late: int) -> None:
    verify(SECRET, sign(SECRET, body, NOW), body, NOW + late)


@pytest.mark.parametrize("late", [TOLERANCE + 1, -TOLERANCE - 1, 86_400])
def test_what_was_signed_at_another_time_is_refused(late: int) -> None:
    with pytest.raises(BadSignature, match="5 minutes"):
        verify(SECRET, sign(SECRET, BODY, NOW), BODY, NOW + late)


def test_another_body_secret_or_time_is_refused() -> None:
    signature = sign(SECRET, BODY, NOW)
    for secret, header, body in (
        (SECRET, signature, BODY + b" "),
        (Secret("another-secret-of-chance"), signature, BODY),
        (SECRET, signature.replace(b"t=1700000000", b"t=1700000001"), BODY),
    ):
        with pytest.raises(BadSignature, match="not that of this body"):
            verify(secret, header, body, NOW)


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"t=1700000000",
        b"v1=00",
        b"t=now,v1=00",
        b"t=1700000000,t=1700000001,v1=00",
        b"t=-1,v1=00",
        "t=١٧,v1=00".encode(),
        b"t=99999999999999,v1=00",
        b"\xff\xfe",
        b"t=1700000000,v0=00",
    ],
)
def test_what_is_no_signature_is_refused(header: bytes | None) -> None:
    with pytest.raises(BadSignature):
        verify(SECRET, header, BODY, NOW)


def test_one_of_several_is_enough_while_a_secret_is_changed() -> None:
    other = sign(Secret("another-secret-of-chance"), BODY, NOW).partition(b",")[2]
    verify(SECRET, sign(SECRET, BODY, NOW) + b"," + other, BODY, NOW)
    verify(SECRET, b"t=1700000000," + other + b"," + sign(SECRET, BODY, NOW).partition(b",")[2], BODY, NOW)
