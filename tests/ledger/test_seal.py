"""The chain of hashes: what is sealed, byte for byte, and what shows when it is changed."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from komeet.ledger.seal import BEFORE_ALL, Kind, Row, Seal, Sealing, differs, follows

VALUES = st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(), st.none())
ROWS = st.lists(st.tuples(st.sampled_from(Kind), st.lists(VALUES, min_size=1, max_size=8).map(tuple)), max_size=8)


def sealed(rows: Sequence[Row], previous: bytes = BEFORE_ALL, number: int = 1, first: int = 1, last: int = 9) -> Seal:
    sealing = Sealing(previous, number, first, last, 5)
    sealing.add(rows)
    return sealing.close()


def test_the_format_stays_as_it_is() -> None:
    """Computed by hand: printf 'komeet seal 1\\n' + 32 zero bytes + the lines | sha256sum."""
    rows: list[Row] = [
        (Kind.POSTING, (1, "att_1", 2, "charge", -5, 7, None)),
        (Kind.HOLD, ("att_1", 'a "name"\n\u00e9')),
    ]
    seal = sealed(rows)
    assert seal.rows == 2
    assert seal.digest.hex() == "1afd0cbcbdc89a7317b4ae9deaf5d288794438c0e0e1b48a033c5be70ff05bb9"


@given(ROWS, ROWS)
def test_other_rows_have_another_digest(one: list[Row], other: list[Row]) -> None:
    assert (sealed(one).digest == sealed(other).digest) == (one == other)


@given(ROWS, st.integers(0, 9), st.sampled_from(["number", "first", "last", "sealed_at"]), st.integers(1, 5))
def test_a_changed_seal_differs_from_its_rows(rows: list[Row], place: int, field: str, by: int) -> None:
    seal = sealed(rows)
    changed: Any = replace(seal, **{field: getattr(seal, field) + by})
    sealing = Sealing(changed.previous, changed.number, changed.first, changed.last, changed.sealed_at)
    sealing.add(rows)
    assert differs(seal, sealed(rows)) is None
    assert differs(changed, sealing.close()) is not None


@given(ROWS.filter(bool), st.integers(0, 7), st.sampled_from(["drop", "double", "change"]))
def test_what_became_of_the_rows_is_said(rows: list[Row], place: int, how: str) -> None:
    seal, at = sealed(rows), place % len(rows)
    kind, values = rows[at]
    became = {"drop": [], "double": [rows[at]] * 2, "change": [(kind, (*values[:-1], "other", "\x00"))]}[how]
    said = differs(seal, sealed([*rows[:at], *became, *rows[at + 1 :]]))
    assert said is not None
    assert {"drop": "missing", "double": "added", "change": "changed"}[how] in said


def test_a_seal_follows_the_one_before_it() -> None:
    first = sealed([])
    second = sealed([], previous=first.digest, number=2, first=10, last=12)
    third = sealed([], previous=second.digest, number=3, first=13, last=13)
    assert follows(first, None) is None
    assert follows(second, first) is None
    assert "seal 2 missing" in (follows(third, first) or "")
    assert "seals 1 to 2 missing" in (follows(third, None) or "")
    assert "seal 2 does not follow seal 1" in (follows(replace(second, previous=third.digest), first) or "")
    assert "does not begin at 10" in (follows(replace(second, first=11), first) or "")
