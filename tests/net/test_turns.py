"""Calls are refused while the event loop cannot keep up, and only then; a burst or a pause is nothing of that."""

from collections.abc import Callable

from komeet.core.clock import ManualClock
from komeet.net.turns import Turns


class Loop:
    """Turns of a loop, each as long as it is told."""

    def __init__(self, most: float = 0.25) -> None:
        self.clock = ManualClock()
        self._ready: list[Callable[[], None]] = []
        self.turns = Turns(self.clock, self._ready.append, most)

    def turn(self, seconds: float, calls: int) -> int:
        """Let calls come, and then time go by; return how many of them were refused."""
        refused = sum(self.turns.refuses() for _ in range(calls))
        self._run(calls)
        self.clock.advance(seconds)
        self._run(calls)
        return refused

    def _run(self, calls: int) -> None:
        ready, self._ready[:] = self._ready[:], []
        assert len(ready) == (calls > 0), "one look a turn, however many calls there are"
        for each in ready:
            each()

    def overload(self) -> None:
        for _ in range(3):
            assert self.turn(0.4, 10) == 0
        assert self.turns.overloaded


def test_a_loop_that_keeps_up_refuses_nobody_however_many_come_at_once() -> None:
    loop = Loop()
    assert sum(loop.turn(0.24, 5000) for _ in range(50)) == 0


def test_a_burst_and_a_pause_are_served() -> None:
    loop = Loop()
    for _ in range(20):
        assert loop.turn(0.9, 1000) == 0  # one long turn: a collection, a large body, a machine that was held
        assert loop.turn(0.01, 1000) == 0


def test_late_turns_with_nobody_between_them_are_not_one_long_overload() -> None:
    loop = Loop()
    for _ in range(20):
        assert loop.turn(0.4, 1) == 0
        loop.clock.advance(60)


def test_lasting_overload_lets_in_what_can_be_served_soon() -> None:
    loop = Loop()
    loop.overload()
    assert loop.turn(0.3, 1000) == 1000  # what is there is worked off first
    assert loop.turn(0.04, 1000) == 1000
    assert loop.turn(0.04, 1000) == 1000 - 32
    assert loop.turn(0.06, 1000) == 1000 - 32
    assert loop.turn(0.04, 10) == 10  # the turn before was too long


def test_who_comes_when_the_crowd_has_gone_is_served_at_once() -> None:
    loop = Loop()
    loop.overload()
    assert loop.turn(0.3, 1000) == 1000
    loop.clock.advance(0.5)
    assert loop.turn(0.001, 1) == 0


def test_it_ends_when_hardly_anybody_has_to_be_refused_any_more() -> None:
    loop = Loop()
    loop.overload()
    for _ in range(100):
        loop.turn(0.04, 100)
    assert loop.turns.overloaded, "it is the refusing that keeps turns short"
    for _ in range(110):
        loop.turn(0.04, 20)
    assert not loop.turns.overloaded
    assert loop.turn(0.04, 5000) == 0
