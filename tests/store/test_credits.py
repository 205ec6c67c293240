"""Credits: each counts once, whoever enters it and however often; a voucher is kept as a hash."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, select
from tests.store.postgres import BOTH
from tests.store.spending import Spender, calm

from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.budget import Budget, Scope
from komeet.ledger.entries import EntryKind
from komeet.store.audit import audit
from komeet.store.budgets import create_budget, end_budget_by_id, spending
from komeet.store.credits import Credited, create_voucher, credits_of, give, list_vouchers, redeem
from komeet.store.errors import StoreError
from komeet.store.keys import create_key
from komeet.store.people import Group, Member, create, owner_of
from komeet.store.tables import accounts, vouchers

DATABASES = BOTH


@pytest.fixture
def acme(engine: Engine, clock: ManualClock) -> Member:
    return create(engine, clock, Group.ORGANISATION, "acme")


def pay(engine: Engine, clock: ManualClock, amount: int, reference: str = "", to: str = "acme") -> Credited:
    return give(engine, clock, to, Nano(amount), kind=EntryKind.PAYMENT, reference=reference, reason="r", actor="ann")


def amounts(engine: Engine, clock: ManualClock) -> list[tuple[int, bool, bool]]:
    return [(s.budget.amount, s.budget.hard, s.budget.prepaid) for s in spending(engine, clock.unix_ms())]


def balances(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {row.kind: row.posted for row in connection.execute(select(accounts)) if row.posted}


def test_the_first_credit_makes_an_organisation_prepaid_and_each_raises_what_it_may_spend(
    engine: Engine, clock: ManualClock, acme: Member
) -> None:
    assert pay(engine, clock, 500).balance == 500
    assert amounts(engine, clock) == [(500, True, True)]
    assert pay(engine, clock, 300, to=acme.id).balance == 800
    assert amounts(engine, clock) == [(800, True, True)]
    assert balances(engine) == {"organisation": -800, "adjustments": 800}
    found, entered = credits_of(engine, "acme")
    assert (found, [entry.charge for entry in entered]) == (acme, [-500, -300])
    assert audit(engine) == []


def test_what_is_spent_goes_against_it(engine: Engine, clock: ManualClock, acme: Member) -> None:
    pay(engine, clock, 500)
    key = create_key(engine, clock, name="k", owner=owner_of(engine, acme.id, None, None))[0]
    Spender(engine, clock).spend(key, 200)
    (one,) = spending(engine, clock.unix_ms())
    assert (one.posted, one.left) == (200, 300)
    assert balances(engine)["organisation"] == -300
    assert audit(engine) == []


def test_a_reference_counts_once(engine: Engine, clock: ManualClock, acme: Member) -> None:
    first = pay(engine, clock, 500, "pay_1")
    again = pay(engine, clock, 500, "pay_1", to=acme.id)
    assert (first.new, again.new) == (True, False)
    assert (again.entry.id, again.balance) == (first.entry.id, 500)
    with pytest.raises(StoreError, match="was entered before, with another amount"):
        pay(engine, clock, 501, "pay_1")
    create(engine, clock, Group.ORGANISATION, "other")
    with pytest.raises(StoreError, match="another organisation"):
        pay(engine, clock, 500, "pay_1", to="other")
    assert give(engine, clock, "acme", Nano(500), reference="pay_1", reason="r", actor="a").new
    assert amounts(engine, clock) == [(1000, True, True)]
    assert audit(engine) == []


def test_many_who_tell_of_a_payment_at_once_credit_it_once(engine: Engine, clock: ManualClock, acme: Member) -> None:
    def one(number: int) -> bool:
        return pay(calmly, clock, 100, f"pay_{number % 3}").new

    with calm(engine) as calmly, ThreadPoolExecutor(6) as pool:
        told = list(pool.map(one, range(12)))
    assert told.count(True) == 3
    assert amounts(engine, clock) == [(300, True, True)]
    assert audit(engine) == []
    del acme


def test_credit_is_taken_back_as_far_as_it_was_given(engine: Engine, clock: ManualClock, acme: Member) -> None:
    with pytest.raises(StoreError, match="no credits"):
        pay(engine, clock, -1)
    pay(engine, clock, 500)
    assert pay(engine, clock, -200).balance == 300
    with pytest.raises(StoreError, match="not as much"):
        pay(engine, clock, -301)
    with pytest.raises(StoreError, match="changes nothing"):
        pay(engine, clock, 0)
    assert amounts(engine, clock) == [(300, True, True)]
    assert audit(engine) == []
    del acme


def test_a_budget_that_is_not_prepaid_has_to_go_first(engine: Engine, clock: ManualClock, acme: Member) -> None:
    own = create_budget(engine, clock, Budget(id=0, scope=Scope.ORGANISATION, subject=acme.id, amount=Nano(7)))
    with pytest.raises(StoreError, match=f"komeet budget end {own.id}"):
        pay(engine, clock, 500)
    assert balances(engine) == {}
    end_budget_by_id(engine, clock, own.id)
    assert pay(engine, clock, 500).new


def test_a_voucher_counts_once_and_its_code_is_kept_nowhere(engine: Engine, clock: ManualClock, acme: Member) -> None:
    code = create_voucher(engine, clock, Nano(250)).reveal()
    with engine.connect() as connection:
        row = connection.execute(select(vouchers)).one()
    assert len(row.digest) == 32
    assert code.encode() not in b"".join(str(value).encode() for value in row)
    given = redeem(engine, clock, f" {code.lower().replace('-', ' ')} ", "acme", "ann")
    assert (given.balance, given.entry.kind, given.entry.actor) == (250, EntryKind.VOUCHER, "ann")
    with pytest.raises(StoreError, match="has been redeemed already"):
        redeem(engine, clock, code, "acme", "ann")
    (known,) = list_vouchers(engine)
    assert (known.hint, known.redeemed_by, known.redeemed_at) == (code[-4:], acme.id, clock.unix_ms())
    assert audit(engine) == []


def test_a_voucher_that_cannot_be_redeemed_says_why_and_stays(engine: Engine, clock: ManualClock, acme: Member) -> None:
    with pytest.raises(StoreError, match="no such voucher"):
        redeem(engine, clock, "KM-AAAAA", "acme", "ann")
    code = create_voucher(engine, clock, Nano(250), clock.unix_ms() + 1000).reveal()
    with pytest.raises(StoreError, match="No organisation"):
        redeem(engine, clock, code, "nobody", "ann")
    clock.advance(1)
    with pytest.raises(StoreError, match="has expired"):
        redeem(engine, clock, code, "acme", "ann")
    assert list_vouchers(engine)[0].redeemed_at is None
    with pytest.raises(StoreError, match="worth nothing"):
        create_voucher(engine, clock, Nano(0))
    del acme


def test_one_of_many_who_redeem_at_once_gets_it(engine: Engine, clock: ManualClock, acme: Member) -> None:
    code = create_voucher(engine, clock, Nano(250)).reveal()

    def one(_: int) -> bool:
        try:
            redeem(calmly, clock, code, "acme", "ann")
        except StoreError:
            return False
        return True

    with calm(engine) as calmly, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(8))).count(True) == 1
    assert amounts(engine, clock) == [(250, True, True)]
    del acme
