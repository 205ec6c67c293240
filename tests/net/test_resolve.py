"""Names are looked up once for all who wait, kept for a while, and nothing that has failed or expired is used."""

import asyncio
import socket
from collections.abc import Sequence

import pytest
from tests.net.conftest import NEVER, OK, Upstream, answering, run, until, upstream

from komeet.core.clock import ManualClock
from komeet.core.errors import ConnectFailed
from komeet.net.client import Client
from komeet.net.limits import ClientLimits
from komeet.net.resolve import Address, LookUp, Resolver, take_turns
from komeet.net.tasks import Tasks

HERE: Address = (socket.AF_INET, ("192.0.2.1", 80))


class Names:
    """A name server that says what it is told to, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.says: Sequence[Address] | Exception = [HERE]
        self.open = asyncio.Event()
        self.open.set()

    async def look_up(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(f"{host}:{port}")
        await self.open.wait()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def resolver(names: Names, clock: ManualClock, seconds: float = 30.0) -> Resolver:
    look_up: LookUp = names.look_up
    return Resolver(clock, Tasks(), seconds, look_up)


def test_an_answer_is_kept_for_its_time_and_not_longer() -> None:
    async def main() -> None:
        names, clock = Names(), ManualClock()
        found = resolver(names, clock)
        for _ in range(3):
            assert await found.addresses("a.example", 80) == [HERE]
        clock.advance(29.9)
        await found.addresses("a.example", 80)
        assert names.asked == ["a.example:80"]
        await found.addresses("a.example", 443)
        await found.addresses("b.example", 80)
        assert names.asked == ["a.example:80", "a.example:443", "b.example:80"]
        clock.advance(0.1)
        await found.addresses("a.example", 80)
        assert len(names.asked) == 4

    run(main())


def test_without_a_lifetime_each_call_asks() -> None:
    async def main() -> None:
        names = Names()
        found = resolver(names, ManualClock(), 0.0)
        for _ in range(3):
            await found.addresses("a.example", 80)
        assert len(names.asked) == 3

    run(main())


def test_an_expired_answer_does_not_stand_in_for_a_failure() -> None:
    async def main() -> None:
        names, clock = Names(), ManualClock()
        found = resolver(names, clock)
        await found.addresses("a.example", 80)
        clock.advance(31.0)
        names.says = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        for _ in range(2):
            with pytest.raises(ConnectFailed, match=r"a\.example could not be resolved: temporary failure"):
                await found.addresses("a.example", 80)
        assert len(names.asked) == 3, "a failure is not kept"
        names.says = [HERE]
        assert await found.addresses("a.example", 80) == [HERE]

    run(main())


def test_all_who_wait_share_one_look_up_and_who_leaves_does_not_end_it() -> None:
    async def main() -> None:
        names = Names()
        names.open.clear()
        found = resolver(names, ManualClock())
        waiting = [asyncio.create_task(found.addresses("a.example", 80)) for _ in range(5)]
        await until(lambda: bool(names.asked))
        waiting[0].cancel()
        await asyncio.sleep(0)
        names.open.set()
        assert await asyncio.gather(*waiting[1:]) == [[HERE]] * 4
        assert names.asked == ["a.example:80"]
        assert waiting[0].cancelled()

    run(main())


def test_a_failure_is_told_to_each_who_waits() -> None:
    async def main() -> None:
        names = Names()
        names.says = UnicodeError("label too long")
        found = resolver(names, ManualClock())
        results = await asyncio.gather(*[found.addresses("a", 80) for _ in range(3)], return_exceptions=True)
        assert [type(result) for result in results] == [ConnectFailed] * 3
        assert len({id(result) for result in results}) == 3
        assert names.asked == ["a:80"]

    run(main())


def test_the_number_of_names_that_are_kept_is_bounded() -> None:
    async def main() -> None:
        names = Names()
        found = resolver(names, ManualClock())
        for number in range(3000):
            await found.addresses(f"n{number}.example", 80)
        assert len(found._kept) == 1024  # pyright: ignore[reportPrivateUsage]

    run(main())


def test_families_take_turns_the_preferred_one_first() -> None:
    six: list[Address] = [(socket.AF_INET6, (f"2001:db8::{n}", 80, 0, 0)) for n in range(3)]
    four: list[Address] = [(socket.AF_INET, (f"192.0.2.{n}", 80)) for n in range(2)]
    assert take_turns([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert take_turns(four) == four
    assert take_turns([]) == []


def test_addresses_that_stopped_working_are_asked_for_again_at_once() -> None:
    async def main() -> None:
        clock = ManualClock()
        async with upstream(answering(OK), host="moved.example") as up:
            gone: Address = (socket.AF_INET, ("127.0.0.1", 1))
            names = Names()
            names.says = [gone]
            made = Client(clock, sweep_seconds=NEVER, look_up=names.look_up)
            try:
                with pytest.raises(ConnectFailed, match="the connection was refused"):
                    await made.fetch(up.outgoing())
                names.says = [(socket.AF_INET, ("127.0.0.1", up.origin.port))]
                for _ in range(3):
                    answer = await made.fetch(up.outgoing())
                    await answer.read(100)
                assert len(names.asked) == 2
            finally:
                await made.aclose()

    run(main())


def test_a_busy_connection_does_not_outlive_the_move_of_its_name() -> None:
    async def main() -> None:
        clock = ManualClock()
        async with upstream(answering(OK), host="old.example") as old, upstream(answering(OK)) as new:
            names = Names()
            names.says = [(socket.AF_INET, ("127.0.0.1", old.origin.port))]
            limits = ClientLimits(age_seconds=60.0, names_seconds=30.0)
            made = Client(clock, limits=limits, sweep_seconds=NEVER, look_up=names.look_up)

            async def call() -> None:
                await (await made.fetch(old.outgoing())).read(100)
                clock.advance(7.0)
                made._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]

            try:
                await call()
                names.says = [(socket.AF_INET, ("127.0.0.1", new.origin.port))]
                for _ in range(12):
                    await call()
                assert (len(old.peers), len(new.peers)) == (1, 1)
            finally:
                await made.aclose()

    run(main())


def test_closing_ends_a_look_up_and_who_waits_for_it_is_told() -> None:
    async def main() -> None:
        names = Names()
        names.open.clear()
        made = Client(ManualClock(), sweep_seconds=NEVER, look_up=names.look_up)
        call = asyncio.create_task(made.fetch(Upstream(1).outgoing()))
        await until(lambda: bool(names.asked))
        await made.aclose()
        with pytest.raises(ConnectFailed, match="shutting down"):
            await call

    run(main())
