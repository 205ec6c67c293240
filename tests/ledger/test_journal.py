"""What was written is read again, up to whatever a crash left at the end, and nothing else is taken for a record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.canonical.usage import Usage
from komeet.core.money import Nano
from komeet.ledger.journal import (
    MAGIC,
    Header,
    JournalError,
    Placed,
    Record,
    Torn,
    read_header,
    read_records,
    write_header,
    write_record,
)
from komeet.ledger.port import Hold, Outcome, Share, State

HEADER = Header("wrk_1", "node", "boot", 1)
BEGINNING = write_header(HEADER)
START = len(BEGINNING)

amounts = st.integers(0, 2**61).map(Nano)
shares = st.builds(Share, st.integers(1, 9), st.integers(0, 2**41), amounts, st.booleans(), st.booleans())
holds = st.builds(
    Hold,
    attempt_id=st.text(max_size=9),
    request_id=st.text(max_size=9),
    key_id=st.text(max_size=9),
    accounts=st.lists(st.integers(1, 99), max_size=4).map(tuple),
    provider=st.text(max_size=9),
    model=st.text(max_size=9),
    model_asked=st.text(max_size=9),
    tags=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    amount=amounts,
    charge=st.none() | amounts,
    held_at=st.integers(0, 2**42),
    shares=st.lists(shares, max_size=3).map(tuple),
)
outcomes = st.builds(
    Outcome,
    attempt_id=st.text(max_size=9),
    state=st.sampled_from(State),
    cost=amounts,
    charge=st.none() | amounts,
    usage=st.builds(Usage, input=st.integers(0, 2**40), output=st.integers(0, 2**40)),
    ended_at=st.integers(0, 2**42),
)
records = st.lists(holds | outcomes, max_size=6)


def written(all_of_them: list[Record]) -> bytes:
    return BEGINNING + b"".join(map(write_record, all_of_them))


def read(data: bytes) -> tuple[list[Record], Torn | None]:
    found = list(read_records(data, START))
    torn = found.pop() if found and isinstance(found[-1], Torn) else None
    assert torn is None or isinstance(torn, Torn)
    return [one.record for one in found if isinstance(one, Placed)], torn


@given(records)
def test_what_is_written_is_read(these: list[Record]) -> None:
    data = written(these)
    assert read_header(data) == (HEADER, START)
    assert read(data) == (these, None)
    ends = [one.end for one in read_records(data, START) if isinstance(one, Placed)]
    assert not ends or ends[-1] == len(data)
    for place, end in enumerate(ends):
        rest = [one.record for one in read_records(data, end) if isinstance(one, Placed)]
        assert rest == these[place + 1 :]


@given(records, st.data())
def test_a_journal_that_is_cut_anywhere_gives_all_that_is_whole(these: list[Record], draw: st.DataObject) -> None:
    data = written(these)
    cut = draw.draw(st.integers(START, len(data)))
    found, torn = read(data[:cut])
    assert found == these[: len(found)]
    whole = len(written(these[: len(found)]))
    assert (torn is None) == (cut == whole)
    if torn is not None:
        assert torn == Torn(whole, followed=False)


@given(records.filter(bool), st.data())
def test_a_byte_that_is_changed_is_noticed(these: list[Record], draw: st.DataObject) -> None:
    data = bytearray(written(these))
    place = draw.draw(st.integers(START, len(data) - 1))
    data[place] ^= draw.draw(st.integers(1, 255))
    found, torn = read(bytes(data))
    assert torn is not None
    assert found == these[: len(found)]
    assert len(written(these[: len(found)])) <= place


@given(st.binary(max_size=200))
def test_garbage_is_torn_and_nothing_else(data: bytes) -> None:
    for one in read_records(data, 0):
        assert isinstance(one, Torn)


@pytest.mark.parametrize("data", [b"", b"SQLite format 3\0", MAGIC, MAGIC + b"\0" * 40, BEGINNING[:-1]])
def test_another_file_is_no_journal(data: bytes) -> None:
    with pytest.raises(JournalError):
        read_header(data)
