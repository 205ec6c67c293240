"""The breaker opens on failures, lets one call find out, and closes; who is slow and busy comes last."""

from hypothesis import given
from hypothesis import strategies as st

from komeet.routing.health import BreakerPolicy, Health, HealthBook, Who

POLICY = BreakerPolicy(failures=3, seconds=1.0, longest=4.0)


def fail(health: Health, now: float) -> None:
    probe = health.began()
    health.failed(now)
    health.left(probe=probe)


def succeed(health: Health, now: float, seconds: float = 0.1) -> None:
    probe = health.began()
    health.succeeded(now, seconds)
    health.left(probe=probe)


def test_it_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    health = Health(POLICY)
    for _ in range(2):
        fail(health, 0)
    succeed(health, 0)
    for _ in range(2):
        fail(health, 0)
    assert health.admits(0)
    fail(health, 0)
    assert not health.admits(0.99)
    assert health.is_open


def test_one_call_finds_out_and_the_others_wait_for_it() -> None:
    health = Health(POLICY)
    for _ in range(3):
        fail(health, 0)
    assert health.admits(1)
    probe = health.began()
    assert probe
    assert not health.admits(1)
    health.succeeded(1.1, 0.1)
    health.left(probe=probe)
    assert health.admits(1.1)
    assert not health.is_open


def test_each_time_it_is_no_better_it_is_left_alone_for_twice_as_long_up_to_a_bound() -> None:
    health = Health(POLICY)
    for _ in range(3):
        fail(health, 0)
    now, waits = 0.0, list[float]()
    for _ in range(4):
        waits.append(health.open_until - now)
        now = health.open_until
        fail(health, now)
    assert waits == [1, 2, 4, 4]


def test_those_that_began_before_it_opened_neither_prolong_it_nor_end_the_search() -> None:
    health = Health(POLICY)
    early = [health.began() for _ in range(6)]
    for probe in early[:3]:
        health.failed(0)
        health.left(probe=probe)
    until = health.open_until
    health.failed(0.5)
    health.left(probe=early[3])
    assert health.open_until == until
    probe = health.began()
    health.left(probe=early[4])
    assert not health.admits(1)
    health.left(probe=probe)
    assert health.admits(1)


def test_half_of_many_calls_failing_opens_it_too() -> None:
    health = Health(BreakerPolicy(failures=1_000))
    for _ in range(20):
        succeed(health, 0)
    for _ in range(19):
        fail(health, 0)
    assert health.admits(0)
    fail(health, 0)
    assert not health.admits(0)


def test_what_was_long_ago_counts_little() -> None:
    health = Health(BreakerPolicy(failures=1_000))
    for _ in range(19):
        fail(health, 0)
    for _ in range(30):
        succeed(health, 60)
    fail(health, 60)
    assert health.admits(60)


def test_to_be_left_alone_is_no_failure_and_lets_calls_through_that_have_nowhere_else_to_go() -> None:
    health = Health(POLICY)
    health.cool(0, 5)
    assert (health.usable(4.9), health.admits(4.9), health.usable(5)) == (False, True, True)


def test_slow_once_is_remembered_and_forgotten_by_and_by() -> None:
    health = Health(POLICY)
    succeed(health, 0, 0.1)
    succeed(health, 1, 2.0)
    assert health.load() == 2.0
    succeed(health, 2, 0.1)
    assert 1.5 < health.slow < 2
    for second in range(3, 100):
        succeed(health, second, 0.1)
    assert health.slow < 0.11
    health.began()
    assert health.load() == 2 * health.slow


@given(st.lists(st.tuples(st.sampled_from(["ok", "bad", "cool", "left"]), st.floats(0, 3)), max_size=60))
def test_it_never_stays_shut(history: list[tuple[str, float]]) -> None:
    """Whatever happened: once all have left, a call is let through after the longest time at most."""
    health, now = Health(POLICY), 0.0
    for what, pause in history:
        now += pause
        if not health.admits(now):
            continue
        probe = health.began()
        match what:
            case "ok":
                health.succeeded(now, 0.1)
            case "bad":
                health.failed(now)
            case "cool":
                health.cool(now, 1)
            case _:
                pass
        health.left(probe=probe)
    assert health.running == 0
    assert health.admits(now + POLICY.longest)


def test_the_book_has_one_record_for_each_and_forgets_who_is_not_busy() -> None:
    book = HealthBook()
    busy = book.of(Who("p", "busy"))
    busy.began()
    for number in range(10_000):
        book.of(Who("p", str(number)))
    assert book.of(Who("p", "busy")) is busy
    assert len(book.all()) <= 4_097
