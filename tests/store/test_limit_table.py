"""All workers of a server count in one table: exactly, and whatever becomes of one of them."""

import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komeet.core.clock import ManualClock, SystemClock
from komeet.core.errors import Unavailable
from komeet.limits.limit import DAY, MINUTE, Grant, Kind, Limit, Scope, Want
from komeet.store import limit_slots, limit_table
from komeet.store.errors import StoreError
from komeet.store.limit_table import LimitTable, clear_worker, prepare


def limit(kind: Kind, amount: int, per: int | None = None, subject: str = "key_1") -> Limit:
    per = (0 if kind is Kind.CONCURRENT else DAY) if per is None else per
    return Limit(scope=Scope.KEY, subject=subject, kind=kind, amount=amount, per=per)


REQUESTS, TOKENS, CALLS = limit(Kind.REQUESTS, 3), limit(Kind.TOKENS, 100), limit(Kind.CONCURRENT, 2)


@contextmanager
def worker(directory: Path, session: str, what: str, times: int, *limits: Limit) -> Generator[subprocess.Popen[str]]:
    program = [sys.executable, "-m", "tests.store.limit_worker", str(directory), session, what, str(times)]
    started = subprocess.Popen(
        [*program, msgspec.json.encode(limits).decode()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert started.stdin is not None
    assert started.stdout is not None
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        started.stdin.close()
        started.stdout.close()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.fixture
def clock() -> ManualClock:
    clock = ManualClock()
    clock.advance(1_000)
    return clock


@pytest.fixture
def table(tmp_path: Path, clock: ManualClock) -> Iterator[LimitTable]:
    prepare(tmp_path, clock)
    with closing(LimitTable(tmp_path, clock, "wrk_a")) as table:
        yield table


def remaining(table: LimitTable, *limits: Limit) -> list[int]:
    return [verdict.remaining for verdict in table.take([Want(each, 0) for each in limits]).verdicts]


def test_a_call_takes_from_every_limit_or_from_none(table: LimitTable) -> None:
    wants = [Want(REQUESTS, 1), Want(TOKENS, 40), Want(CALLS, 1)]
    first = table.take(wants)
    assert [grant.units for grant in first.grants] == [1, 40, 1]
    assert [verdict.remaining for verdict in first.verdicts] == [2, 60, 1]
    table.take(wants)
    refused = table.take(wants)
    assert refused.grants == ()
    assert [verdict.fits for verdict in refused.verdicts] == [True, False, False]
    assert [verdict.remaining for verdict in refused.verdicts] == [1, 20, 0]
    assert remaining(table, REQUESTS, TOKENS, CALLS) == [1, 20, 0]


def test_what_a_call_did_not_use_goes_back(table: LimitTable) -> None:
    taken = table.take([Want(REQUESTS, 1), Want(TOKENS, 90), Want(CALLS, 1)])
    table.end(taken.grants, 10)
    assert remaining(table, REQUESTS, TOKENS, CALLS) == [2, 90, 2]
    table.end(table.take([Want(TOKENS, 50)]).grants, None)
    assert remaining(table, TOKENS) == [40], "what is not known stays taken"
    table.end(table.take([Want(TOKENS, 10)]).grants, 60)
    assert remaining(table, TOKENS) == [0], "what was used above the grant is owed"


def test_a_limit_that_is_lowered_keeps_what_was_taken(table: LimitTable) -> None:
    table.take([Want(limit(Kind.TOKENS, 1_000), 500)])
    assert remaining(table, limit(Kind.TOKENS, 100)) == [50]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 40), st.booleans()), max_size=50))
def test_calls_of_two_workers_are_counted_as_a_list_of_them_would(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int, bool]]
) -> None:
    directory, clock = tmp_path_factory.mktemp("limits"), ManualClock()
    prepare(directory, clock)
    calls, tokens = limit(Kind.CONCURRENT, 3), limit(Kind.TOKENS, 100, MINUTE)
    with closing(LimitTable(directory, clock, "a")) as one, closing(LimitTable(directory, clock, "b")) as two:
        running: list[tuple[LimitTable, tuple[Grant, ...]]] = []
        for which, pause, units, ends in steps:
            clock.advance(pause)
            own = (one, two)[which % 2]
            if ends and running:
                holder, grants = running.pop(which % len(running))
                holder.end(grants, units)
            else:
                taken = own.take([Want(calls, 1), Want(tokens, units)])
                assert bool(taken.grants) == all(verdict.fits for verdict in taken.verdicts)
                if taken.grants:
                    running.append((own, taken.grants))
            assert remaining(one, calls) == [3 - len(running)]
            assert len(running) <= 3


def test_exactly_as_many_as_it_says_over_several_processes(tmp_path: Path) -> None:
    prepare(tmp_path, SystemClock())
    # A unit of a day's limit comes back in minutes: none does while this runs.
    limits = [limit(Kind.REQUESTS, 100), limit(Kind.REQUESTS, 10_000, subject="other")]
    with ExitStack() as stack:
        started = [stack.enter_context(worker(tmp_path, f"wrk_{n}", "take", 500, *limits)) for n in range(4)]
        for each in started:
            assert heard(each) == "ready"
        for each in started:
            go(each)
        admitted = [int(heard(each)) for each in started]
    assert sum(admitted) == 100
    with closing(LimitTable(tmp_path, SystemClock(), "x")) as table:
        assert remaining(table, *limits) == [0, 9_900], "and the refused took nothing from the other"


def test_never_more_calls_at_once_than_it_says(tmp_path: Path) -> None:
    prepare(tmp_path, SystemClock())
    with ExitStack() as stack:
        started = [
            stack.enter_context(worker(tmp_path, f"wrk_{n}", "hold", 50, limit(Kind.CONCURRENT, 70))) for n in range(3)
        ]
        for each in started:
            assert heard(each) == "ready"
            go(each)
        for each in started:
            assert heard(each) == "there"
        for each in started:
            each.kill()
            each.wait()
        assert sum(clear_worker(tmp_path, f"wrk_{n}") for n in range(3)) == 70
    with closing(LimitTable(tmp_path, SystemClock(), "x")) as table:
        assert remaining(table, limit(Kind.CONCURRENT, 70)) == [70]


def test_what_a_killed_worker_had_under_way_is_counted_no_more(tmp_path: Path) -> None:
    prepare(tmp_path, SystemClock())
    calls = limit(Kind.CONCURRENT, 5)
    with (
        closing(LimitTable(tmp_path, SystemClock(), "wrk_a")) as table,
        worker(tmp_path, "wrk_b", "hold", 3, calls, REQUESTS) as other,
    ):
        heard(other)
        go(other)
        assert heard(other) == "there"
        table.take([Want(calls, 1)])
        other.kill()
        other.wait()
        assert remaining(table, calls) == [1]
        assert clear_worker(tmp_path, "wrk_b") == 3
        assert clear_worker(tmp_path, "wrk_b") == 0
        assert remaining(table, calls, REQUESTS) == [4, 0], "its requests were made all the same"


@pytest.mark.parametrize("what", ["die_locked", "die_between"])
def test_a_worker_that_is_killed_with_the_lock_holds_nobody_up_and_leaves_nothing(tmp_path: Path, what: str) -> None:
    prepare(tmp_path, SystemClock())
    with (
        closing(LimitTable(tmp_path, SystemClock(), "wrk_a")) as table,
        worker(tmp_path, "wrk_b", what, 1, CALLS) as other,
    ):
        heard(other)
        go(other)
        assert heard(other) == "there"
        with pytest.raises(Unavailable):
            table.take([Want(CALLS, 1)])
        other.kill()
        other.wait()
        clear_worker(tmp_path, "wrk_b")
        assert remaining(table, CALLS) == [2]
        assert table.take([Want(CALLS, 1)]).grants


def test_rates_survive_a_start_of_the_server_and_calls_under_way_do_not(tmp_path: Path) -> None:
    clock = ManualClock()
    clock.advance(500)
    prepare(tmp_path, clock)
    with closing(LimitTable(tmp_path, clock, "wrk_a")) as table:
        table.take([Want(REQUESTS, 2), Want(CALLS, 2)])
    clock.advance(10)
    prepare(tmp_path, clock)
    with closing(LimitTable(tmp_path, clock, "wrk_b")) as table:
        assert remaining(table, REQUESTS, CALLS) == [1, 2]


def test_a_start_of_the_machine_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    clock.advance(500)
    prepare(tmp_path, clock)
    with closing(LimitTable(tmp_path, clock, "wrk_a")) as table:
        table.take([Want(REQUESTS, 2)])
    monkeypatch.setattr(limit_table, "_boot", lambda: b"another run".ljust(16))
    prepare(tmp_path, clock)
    with closing(LimitTable(tmp_path, clock, "wrk_a")) as table:
        assert remaining(table, REQUESTS) == [3]
        table.take([Want(REQUESTS, 2)])
    prepare(tmp_path, ManualClock())  # where nothing tells one run from another, a clock that went back does
    with closing(LimitTable(tmp_path, ManualClock(), "wrk_a")) as table:
        assert remaining(table, REQUESTS) == [3]


def test_a_table_of_another_version_is_refused_and_replaced(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LimitTable(tmp_path, SystemClock(), "wrk_a")
    (tmp_path / limit_table.NAME).write_bytes(b"what is this?")
    with pytest.raises(StoreError, match="another version"):
        LimitTable(tmp_path, SystemClock(), "wrk_a")
    prepare(tmp_path, SystemClock())
    LimitTable(tmp_path, SystemClock(), "wrk_a").close()
    assert (tmp_path / limit_table.NAME).stat().st_mode & 0o777 == 0o600


def test_places_that_hold_nothing_are_used_again_and_a_full_table_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit_slots, "SLOTS", 64)
    clock = ManualClock()
    clock.advance(5)
    prepare(tmp_path, clock)
    with closing(LimitTable(tmp_path, clock, "wrk_a")) as table:
        for number in range(64):
            table.take([Want(limit(Kind.REQUESTS, 1, MINUTE, f"key_{number}"), 1)])
        one_more = [Want(limit(Kind.REQUESTS, 1, MINUTE, "key_x"), 1), Want(limit(Kind.CONCURRENT, 1), 1)]
        with pytest.raises(Unavailable):
            table.take(one_more)
        clock.advance(60)
        assert len(table.take(one_more).grants) == 2


def test_its_cost(tmp_path: Path) -> None:
    """Far above what is measured on an idle machine (6 µs for four limits): a change of its order is noticed."""
    prepare(tmp_path, SystemClock())
    wants = [
        Want(limit(Kind.REQUESTS, 10**9, MINUTE), 1),
        Want(limit(Kind.REQUESTS, 10**9, DAY), 1),
        Want(limit(Kind.TOKENS, 10**9, MINUTE), 100),
        Want(limit(Kind.CONCURRENT, 1_000), 1),
    ]
    with closing(LimitTable(tmp_path, SystemClock(), "wrk_a")) as table:
        best = float("inf")
        for _ in range(20):
            begun = time.perf_counter()
            for _ in range(100):
                table.end(table.take(wants).grants, 50)
            best = min(best, (time.perf_counter() - begun) / 100)
    print(f"{best * 1e6:.1f} µs")
    assert best < 200e-6
