"""The chain of seals in a database: whatever is changed afterwards is found, and where."""

from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Boolean, Connection, Engine, Integer, Table, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from tests.store.postgres import BOTH
from tests.store.spending import Spender

from komeet.access.keys import Key
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.entries import Note
from komeet.ledger.port import State
from komeet.ledger.seal import BEFORE_ALL
from komeet.store.entries import Amounts, correct_attempt, resolve_attempt
from komeet.store.keys import create_key
from komeet.store.seal import Sealer, last_seal, verify
from komeet.store.tables import accounts, entries, holds, outcomes, postings, seals

DATABASES = BOTH
SIZE = 9


@pytest.fixture
def spender(engine: Engine, clock: ManualClock) -> Spender:
    return Spender(engine, clock)


@pytest.fixture
def rich(engine: Engine, clock: ManualClock) -> Key:
    return create_key(engine, clock, name="app", tags=["a"], budget=Nano(10**9))[0]


def seal_all(engine: Engine, clock: ManualClock, most: int = SIZE) -> int:
    """Seal until nothing is left; on PostgreSQL a look is behind by one."""
    sealer, made, idle = Sealer(engine, clock, most=most), 0, 0
    while idle < 3:
        if sealer.step() is None:
            idle += 1
        else:
            made, idle = made + 1, 0
        clock.advance(1.0)
    return made


@pytest.fixture
def sealed(engine: Engine, clock: ManualClock, spender: Spender, rich: Key) -> list[Any]:
    """Some dozens of postings of attempts and entries, all sealed; returns the seals."""
    for number in range(12):
        hold = spender.hold(rich, 100, charge=200)
        spender.end(hold, State.SETTLED, 50 + number, charge=90 + number)
        clock.advance(0.5)
        if number == 4:
            correct_attempt(engine, hold.attempt_id, lambda _: Amounts(Nano(1), Nano(2)), Note("r", "me", 9))
    lost = spender.orphan(rich, 70)
    resolve_attempt(engine, lost.attempt_id, lambda _: Amounts(Nano(3), Nano(4)), Note("r", "me", 9))
    assert seal_all(engine, clock) > 3
    with engine.connect() as connection:
        return list(connection.execute(select(seals).order_by(seals.c.id)))


def tampering(engine: Engine, change: Callable[[Connection], object]) -> None:
    """Change rows as somebody does who has the file: no reference is checked."""
    with closing(engine.connect()) as connection:
        if engine.dialect.name == "sqlite":
            connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            change(connection)
        if engine.dialect.name == "sqlite":
            connection.connection.cursor().execute("PRAGMA foreign_keys=ON")


def other(column: Any, value: Any) -> Any:
    if isinstance(column.type, Boolean):
        return not value
    if isinstance(column.type, Integer):
        return 1 if value is None else value + 1
    return f"{value}x"


VALID = {"state": ("settled", "voided"), "leg": ("rollup", "margin"), "kind": ("correction", "repricing")}


def chosen(engine: Engine, table: Table, key: Any) -> tuple[dict[str, Any], int]:
    """A row in the middle of those that are sealed, and the first posting that it caused."""
    cause = postings.c.entry_id if table is entries else postings.c.attempt_id
    first = select(key, func.min(postings.c.id)).select_from(postings)
    if table is not postings:
        first = first.join(table, key == cause)
    with engine.connect() as connection:
        found = sorted(connection.execute(first.group_by(key)).all(), key=lambda one: int(one[1]))
        name, posting = found[len(found) // 2]
        return dict(connection.execute(select(table).where(key == name)).mappings().one()), int(posting)


def changing(table: Table, where: Any, name: str, value: Any) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(update(table).where(where).values({name: value}))


def test_any_changed_value_is_found_in_the_batch_that_it_is_of(engine: Engine, sealed: list[Any]) -> None:
    """Every column of a row of every table that is sealed, one after the other."""
    changed = 0
    for table in (postings, holds, outcomes, entries):
        key = next(iter(table.primary_key.columns))
        row, first = chosen(engine, table, key)
        batch = next(one for one in sealed if one.first_posting <= first <= one.last_posting)
        for column in table.c:
            if column.name == "id" and table is postings:
                continue
            old, new = row[column.name], other(column, row[column.name])
            if column.name in VALID:
                new = next(value for value in VALID[column.name] if value != old)
            there = key == row[key.name]
            after = key == (new if column is key else row[key.name])
            try:
                tampering(engine, changing(table, there, column.name, new))
            except IntegrityError:  # the database itself does not take it
                continue
            said = verify(engine)
            assert said.broken is not None, column
            assert said.broken.startswith(f"seal {batch.id} (postings {batch.first_posting} to"), (column, said.broken)
            assert said.seals == batch.id - 1
            tampering(engine, changing(table, after, column.name, old))
            assert verify(engine).broken is None
            changed += 1
    assert changed > 45


def test_what_is_left_out_or_put_in_is_found(engine: Engine, sealed: list[Any]) -> None:
    second = sealed[1]
    with engine.connect() as connection:
        row = dict(connection.execute(select(postings).where(postings.c.id == second.last_posting)).mappings().one())
    tampering(engine, lambda c: c.execute(delete(postings).where(postings.c.id == row["id"])))
    said = verify(engine).broken or ""
    assert said.startswith("seal 2 ")
    assert "missing" in said
    tampering(engine, lambda c: c.execute(insert(postings).values(row)))
    assert verify(engine).broken is None
    tampering(engine, lambda c: c.execute(insert(postings).values(row | {"id": 0})))
    assert verify(engine).broken is None  # before the first: no seal is of it, and the audit finds it


@pytest.mark.parametrize("how", ["remove", "swap", "replace", "first"])
def test_seals_are_neither_taken_out_nor_moved(engine: Engine, sealed: list[Any], how: str) -> None:
    def change(connection: Connection) -> None:
        match how:
            case "remove":
                connection.execute(delete(seals).where(seals.c.id == 2))
            case "first":
                connection.execute(delete(seals).where(seals.c.id == 1))
            case "replace":
                connection.execute(update(seals).where(seals.c.id == 2).values(digest=b"x" * 32))
            case _:
                for one, another in ((2, 99), (3, 2), (99, 3)):
                    connection.execute(update(seals).where(seals.c.id == one).values(id=another))

    tampering(engine, change)
    said = verify(engine).broken or ""
    assert {"remove": "seal 2 missing", "first": "seal 1 missing", "replace": "seal 2", "swap": "seal 2"}[how] in said


def test_an_end_that_was_cut_off_shows_when_its_digest_was_kept(engine: Engine, sealed: list[Any]) -> None:
    head = verify(engine).head
    assert head == sealed[-1].digest
    assert verify(engine, head).broken is None
    assert verify(engine, sealed[0].digest).broken is None
    tampering(engine, lambda c: c.execute(delete(seals).where(seals.c.id == sealed[-1].id)))
    assert verify(engine).broken is None
    assert "--head" in (verify(engine, head).broken or "")


def test_rows_that_cannot_be_read_are_named(engine: Engine, sealed: list[Any], database_kind: str) -> None:
    if database_kind != "sqlite":
        pytest.skip("PostgreSQL keeps the types of its columns")
    tampering(engine, lambda c: c.exec_driver_sql("UPDATE holds SET model = CAST(x'ff' AS TEXT)"))
    said = verify(engine).broken or ""
    assert said.startswith("seal 1 ")
    assert "cannot be read" in said


def test_batches_follow_each_other_without_a_gap_and_nothing_is_sealed_twice(
    engine: Engine, clock: ManualClock, spender: Spender, rich: Key, sealed: list[Any]
) -> None:
    ends = [(one.first_posting, one.last_posting) for one in sealed]
    assert ends[0][0] == 1
    assert all(one[1] + 1 == other[0] for one, other in pairwise(ends))
    assert seal_all(engine, clock) == 0
    spender.spend(rich, 5)
    assert verify(engine).unsealed > 0
    assert seal_all(engine, clock) == 1
    assert verify(engine).unsealed == 0


def test_before_anything_is_sealed_the_chain_is_whole(engine: Engine, key: Key) -> None:
    said = verify(engine)
    assert (said.seals, said.head, said.broken, said.unsealed) == (0, BEFORE_ALL, None, 0)


def test_of_two_that_seal_the_same_one_wins(
    engine: Engine, clock: ManualClock, another: Callable[[], Engine], spender: Spender, rich: Key
) -> None:
    for _ in range(6):
        spender.spend(rich, 5)
    one, two = Sealer(engine, clock, most=4), Sealer(another(), clock, most=4)
    made = [seal.number for _ in range(10) for sealer in (one, two) if (seal := sealer.step()) is not None]
    assert made == list(range(1, len(made) + 1))
    assert verify(engine).broken is None
    assert verify(engine).unsealed == 0


def test_what_may_still_be_committed_is_waited_for(
    engine: Engine, clock: ManualClock, another: Callable[[], Engine], spender: Spender, rich: Key, database_kind: str
) -> None:
    """On PostgreSQL an id can be drawn early and committed late: nothing after it is sealed until then."""
    if database_kind == "sqlite":
        pytest.skip("on SQLite one transaction writes at a time")
    spender.spend(rich, 5)
    seal_all(engine, clock)
    with engine.connect() as connection:
        row = dict(connection.execute(select(postings).order_by(postings.c.id)).mappings().first() or {})
        account = connection.execute(select(accounts.c.id).limit(1)).scalar_one()
        before = last_seal(connection)
    del row["id"]
    late = another().connect()
    transaction = late.begin()
    late.execute(insert(postings).values(row | {"account_id": account}))
    spender.spend(rich, 5)
    assert seal_all(engine, clock) == 0
    transaction.commit()
    late.close()
    assert seal_all(engine, clock) == 1
    with engine.connect() as connection:
        after = last_seal(connection)
    assert before is not None
    assert after is not None
    assert after.first == before.last + 1
    assert verify(engine).broken is None
