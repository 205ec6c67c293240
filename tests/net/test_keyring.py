"""Keys that change while Komeet runs: had again in time, once for all who wait, and never asked for in a rush."""

import asyncio
import fcntl
import logging
import sys
import textwrap
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.net.conftest import run, until

from komeet.core.clock import ManualClock
from komeet.core.errors import ConnectFailed
from komeet.core.http import Answer, Outgoing
from komeet.core.secrets import Secret
from komeet.net.keyring import RETRY_SECONDS, Keyring
from komeet.net.tasks import Tasks
from komeet.providers.credential import Credential, FromCommand, FromFile


class Nobody:
    async def fetch(self, outgoing: Outgoing, sent: object = None) -> Answer:
        raise AssertionError("nothing is fetched")


@asynccontextmanager
async def keyring(clock: ManualClock) -> AsyncGenerator[tuple[Keyring, Tasks]]:
    tasks = Tasks()
    try:
        yield Keyring(clock, tasks, Nobody()), tasks
    finally:
        await tasks.drain(5)


def program(place: Path, text: str) -> tuple[str, ...]:
    """A program that also notes each of its runs."""
    file = place / "program.py"
    note = f"import os, sys, time\nwith open({str(place / 'runs')!r}, 'a') as f: f.write('x')\n"
    file.write_text(note + textwrap.dedent(text))
    return (sys.executable, "-S", "-E", str(file), "an argument; echo $HOME")


def runs(place: Path) -> int:
    return len((place / "runs").read_text()) if (place / "runs").exists() else 0


def by(argv: tuple[str, ...], *, timeout: float = 30.0, expires: float = 1000.0) -> Credential:
    return Credential(source=FromCommand(argv=argv, timeout=timeout, expires=expires))


async def key_of(ring: Keyring, credential: Credential) -> str:
    found = (await ring.current("p", credential)).secret
    assert found is not None
    return found.reveal()


def test_a_key_that_does_not_change_is_what_it_is() -> None:
    async def main() -> None:
        async with keyring(ManualClock()) as (ring, _):
            fixed = Credential(secret=Secret("k"))
            assert await ring.current("p", fixed) is fixed

    run(main())


# ------------------------------------------------------------------ files


def test_a_file_is_read_again_when_it_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, clock = tmp_path / "key", ManualClock()
    credential = Credential(secret=Secret("at-start"), source=FromFile(path=str(file)))

    def put(text: bytes) -> None:
        """As those do who change a secret: another file takes its place."""
        other = tmp_path / "other"
        other.write_bytes(text)
        other.replace(file)
        clock.advance(1.1)

    async def main() -> None:
        async with keyring(clock) as (ring, _):
            put(b"first\n")
            assert await key_of(ring, credential) == "first"
            put(b"second")
            assert await key_of(ring, credential) == "second"
            file.unlink()
            clock.advance(1.1)
            assert await key_of(ring, credential) == "second"  # being replaced
            for wrong in (b"", b"canary canary", b"\xff\xff", b"x" * 70_000):
                put(wrong)
                assert await key_of(ring, credential) == "second"
            put(b"third")
            assert await key_of(ring, credential) == "third"

    run(main())
    assert "No such file" in caplog.text
    assert "canary" not in caplog.text


def test_a_file_is_not_looked_at_for_every_call(tmp_path: Path) -> None:
    file, clock = tmp_path / "key", ManualClock()
    file.write_text("first")

    async def main() -> None:
        async with keyring(clock) as (ring, _):
            credential = Credential(source=FromFile(path=str(file)))
            assert await key_of(ring, credential) == "first"
            file.write_text("second")
            assert await key_of(ring, credential) == "first"
            assert ring.forget("p", credential)  # it was refused
            assert await key_of(ring, credential) == "second"
            assert not ring.forget("p", credential)
            assert await key_of(ring, credential) == "second"

    run(main())


def test_without_any_key_nothing_is_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with keyring(ManualClock()) as (ring, _):
            with pytest.raises(ConnectFailed, match="nothing was sent"):
                await ring.current("p", Credential(source=FromFile(path=str(tmp_path / "none"))))

    run(main())


# ------------------------------------------------------------------ programs


def test_a_program_is_run_once_for_all_who_wait_and_not_by_a_shell(tmp_path: Path) -> None:
    argv = program(tmp_path, "time.sleep(0.05); assert sys.argv[1] == 'an argument; echo $HOME'; print('key')")

    async def main() -> None:
        async with keyring(ManualClock()) as (ring, _):
            assert await asyncio.gather(*[key_of(ring, by(argv)) for _ in range(20)]) == ["key"] * 20
            assert await key_of(ring, by(argv)) == "key"

    run(main())
    assert runs(tmp_path) == 1


def test_who_leaves_does_not_take_the_key_away_from_the_others(tmp_path: Path) -> None:
    argv = program(tmp_path, "time.sleep(0.1); print('key')")

    async def main() -> None:
        async with keyring(ManualClock()) as (ring, _):
            first = asyncio.create_task(key_of(ring, by(argv)))
            second = asyncio.create_task(key_of(ring, by(argv)))
            await asyncio.sleep(0)
            first.cancel()
            assert await second == "key"

    run(main())
    assert runs(tmp_path) == 1


def test_it_is_run_again_before_the_key_expires_and_nobody_waits_for_it(tmp_path: Path) -> None:
    clock = ManualClock()
    argv = program(tmp_path, f"print('key-%d' % len(open({str(tmp_path / 'runs')!r}).read()))")

    async def main() -> None:
        async with keyring(clock) as (ring, tasks):
            credential = by(argv, expires=1000.0)
            assert await key_of(ring, credential) == "key-1"
            clock.advance(799)
            assert await key_of(ring, credential) == "key-1"
            assert len(tasks) == 0
            clock.advance(2)
            assert await key_of(ring, credential) == "key-1"  # good still; the next is on its way
            assert await key_of(ring, credential) == "key-1"
            await until(lambda: len(tasks) == 0)
            assert await key_of(ring, credential) == "key-2"
            clock.advance(2000)
            assert await key_of(ring, credential) == "key-3"  # the old one is not: waited for

    run(main())
    assert runs(tmp_path) == 3


def test_a_failure_leaves_the_old_key_for_as_long_as_it_is_good(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    flag = tmp_path / "broken"
    argv = program(tmp_path, f"print('canary-key'); sys.exit(3 if os.path.exists({str(flag)!r}) else 0)")

    async def main() -> None:
        async with keyring(clock) as (ring, tasks):
            credential = by(argv, expires=1000.0)
            assert await key_of(ring, credential) == "canary-key"
            flag.touch()
            clock.advance(850)
            for _ in range(5):
                assert await key_of(ring, credential) == "canary-key"
                await until(lambda: len(tasks) == 0)
            assert runs(tmp_path) == 2  # not tried again at once
            clock.advance(11)
            assert await key_of(ring, credential) == "canary-key"
            await until(lambda: len(tasks) == 0)
            assert runs(tmp_path) == 3
            clock.advance(200)
            with pytest.raises(ConnectFailed, match="Komeet's log says why") as refused:
                await key_of(ring, credential)
            assert "status 3" in (refused.value.detail or "")
            flag.unlink()
            assert await key_of(ring, credential) == "canary-key"

    run(main())
    assert "ended with status 3" in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("time.sleep(10**6)", "took longer than 0.5 s"),
        ("os.fork(); time.sleep(10**6)", "took longer than 0.5 s"),
        ("sys.stdout.write('x' * 70000)", "more than 65536 bytes"),
        ("print('a b')", "printable ASCII"),
        ("pass", "printed nothing"),
        ("print('{}')", "without a `key`"),
    ],
)
def test_what_a_program_may_do_wrong(text: str, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    slow, lock = "sleep" in text, tmp_path / "lock"
    lock.touch()
    held = f"import fcntl; lock = open({str(lock)!r}); fcntl.flock(lock, fcntl.LOCK_SH)"
    argv = program(tmp_path, f"{held}\n{text}")

    async def main() -> None:
        async with keyring(ManualClock()) as (ring, _):
            with pytest.raises(ConnectFailed):
                await key_of(ring, by(argv, timeout=0.5 if slow else 30.0))

    with caplog.at_level(logging.WARNING):
        run(main())
    assert why in caplog.text
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # waits until nothing of the program runs any more


def test_a_program_that_is_not_there_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with keyring(ManualClock()) as (ring, _):
            with pytest.raises(ConnectFailed):
                await key_of(ring, by(("/nonexistent/program",)))

    run(main())
    assert "No such file" in caplog.text


def test_a_refused_key_is_had_anew_unless_it_was_had_a_moment_ago(tmp_path: Path) -> None:
    argv, clock = program(tmp_path, "print('key')"), ManualClock()

    async def main() -> None:
        async with keyring(clock) as (ring, _):
            credential = by(argv)
            await key_of(ring, credential)
            assert not ring.forget("p", credential)
            await key_of(ring, credential)
            assert runs(tmp_path) == 1
            clock.advance(RETRY_SECONDS)
            assert ring.forget("p", credential)
            await key_of(ring, credential)

    run(main())
    assert runs(tmp_path) == 2
