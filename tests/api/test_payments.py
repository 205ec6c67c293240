"""The webhook of payments: who has the secret is believed, once for each payment, and nobody else."""

import asyncio
import json
from typing import Any

import pytest
from tests.api.test_access import exposition
from tests.pipeline.fakes import FakeReply, World

from komeet.access.rules import Access
from komeet.access.signature import sign
from komeet.api.application import Application
from komeet.api.payments import PATH, Payments
from komeet.api.surfaces import routes
from komeet.core.clock import ManualClock
from komeet.core.errors import Unavailable, WireError
from komeet.core.http import HttpRequest
from komeet.core.money import Nano
from komeet.core.secrets import Secret
from komeet.ledger.payments import Entered, Payment

SECRET = Secret("whsec-0123456789abcdef")
PAID = {"id": "pay_1", "organisation": "acme", "amount": 1050, "currency": "usd"}


class FakeBook:
    """Notes what it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.told: list[Payment] = []
        self.error = error

    async def enter(self, payment: Payment) -> Entered:
        if self.error is not None:
            raise self.error
        new = payment not in self.told
        self.told.append(payment)
        return Entered(organisation="org_1", balance=payment.amount, new=new)


def ask(book: FakeBook, body: bytes, signature: bytes | None, *, secret: Secret | None = SECRET) -> FakeReply:
    ports = World().ports
    payments = None if secret is None else Payments(book, secret, ports.clock)
    application = Application(routes(ports, dict, exposition, payments), ports)
    headers = {b"host": b"komeet.example"} | ({} if signature is None else {b"komeet-signature": signature})
    request = HttpRequest(method="POST", path=PATH, headers=headers, body=body, arrived=0.0, peer="10.0.0.1")
    reply = FakeReply()
    asyncio.run(application.handle(request, reply))
    return reply


def signed(book: FakeBook, event: Any, *, late: int = 0) -> FakeReply:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    now = World().ports.clock.unix_ms() // 1000
    return ask(book, body, sign(SECRET, body, now - late))


def code(reply: FakeReply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["error"]["code"]


def test_a_payment_is_entered_in_nano_dollars() -> None:
    book = FakeBook()
    reply = signed(book, PAID | {"livemode": True})
    assert reply.status == 200
    assert json.loads(reply.body) == {
        "id": "pay_1",
        "organisation": "org_1",
        "status": "credited",
        "balance": "10.5",
    }
    assert book.told == [Payment(id="pay_1", organisation="acme", amount=Nano(10_500_000_000))]
    assert json.loads(signed(book, PAID).body)["status"] == "already_credited"


def test_without_a_secret_there_is_no_such_route() -> None:
    body = json.dumps(PAID).encode()
    assert ask(FakeBook(), body, sign(SECRET, body, 0), secret=None).status == 404


def test_its_rule_is_the_signature() -> None:
    assert Payments(FakeBook(), SECRET, ManualClock()).route.access is Access.SIGNED


@pytest.mark.parametrize("late", [301, -301])
def test_a_stale_signature_is_refused(late: int) -> None:
    book = FakeBook()
    assert code(signed(book, PAID, late=late)) == (401, "invalid_signature")
    assert book.told == []


def test_a_missing_or_wrong_signature_is_refused_before_anything_is_read() -> None:
    book = FakeBook()
    body = json.dumps(PAID).encode()
    now = World().ports.clock.unix_ms() // 1000
    for sent, signature in (
        (body, None),
        (body, sign(Secret("another-secret-of-chance"), body, now)),
        (body.replace(b"1050", b"9950"), sign(SECRET, body, now)),
        (b"not json", b"t=1,v1=2"),
    ):
        assert code(ask(book, sent, signature)) == (401, "invalid_signature")
    assert book.told == []


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"[]",
        b"\xff",
        {},
        PAID | {"amount": 10.5},
        PAID | {"amount": "1050"},
        PAID | {"amount": 0},
        PAID | {"amount": -5},
        PAID | {"amount": 10**12},
        PAID | {"currency": "eur"},
        PAID | {"id": ""},
        PAID | {"id": "pay 1"},
        PAID | {"id": "pay_1\n"},
        PAID | {"id": "x" * 201},
        PAID | {"organisation": ""},
    ],
)
def test_what_is_no_payment_is_refused(event: Any) -> None:
    book = FakeBook()
    assert signed(book, event).status == 400
    assert book.told == []


def test_a_body_above_the_bound_is_refused() -> None:
    book = FakeBook()
    reply = signed(book, PAID | {"more": "x" * 65_536})
    assert code(reply) == (413, "body_too_large")
    assert book.told == []


@pytest.mark.parametrize(("length", "status"), [(b"65537", 413), (None, 413), (b"65536", None)])
def test_a_body_above_the_bound_is_refused_before_it_is_read(length: bytes | None, status: int | None) -> None:
    ports = World().ports
    payments = Payments(FakeBook(), SECRET, ports.clock)
    application = Application(routes(ports, dict, exposition, payments), ports)
    headers = {b"host": b"komeet.example"} | ({} if length is None else {b"content-length": length})
    said = application.screen(HttpRequest(method="POST", path=PATH, headers=headers, arrived=0.0, peer="10.0.0.1"))
    assert (said[0] if isinstance(said, tuple) else None) == status


@pytest.mark.parametrize(("error", "status"), [(WireError("No organisation."), 400), (Unavailable("Out."), 503)])
def test_what_cannot_be_entered_is_said_so_that_it_is_told_again(error: Exception, status: int) -> None:
    assert signed(FakeBook(error), PAID).status == status
