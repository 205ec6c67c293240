"""A worker in a process of its own: it joins a data directory, and does what it is told on its standard input."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, final

import msgspec
from msgspec.json import decode, encode
from tests.store.lifecycles import Lifecycles

from komeet.access.keys import Key
from komeet.canonical.record import CallRecord
from komeet.core.clock import SystemClock
from komeet.core.errors import BudgetExceeded
from komeet.core.money import Nano
from komeet.core.secrets import Secret
from komeet.ledger.port import Hold, Outcome, State, Subject
from komeet.store.database import Store
from komeet.store.engine import Databases
from komeet.store.keys import list_keys

FILES = Databases()
_ROOT = Path(__file__).parents[2]


@final
class Worker:
    """The other end: starts the process, and tells it what to do."""

    def __init__(self, data_dir: Path, session: str, databases: Databases = FILES) -> None:
        self.session = session
        address = "" if databases.ledger is None else databases.ledger.reveal()
        program = [sys.executable, "-m", "tests.store.worker", str(data_dir), session, address]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._tell, self._hear = self.process.stdin, self.process.stdout

    def ready(self) -> None:
        assert self.answer() == "ready"

    def tell(self, what: str, number: int = 0) -> None:
        """Let it begin; `answer` waits for what it says when it is done."""
        self._tell.write(encode([what, number]) + b"\n")
        self._tell.flush()

    def answer(self) -> Any:
        return decode(self._hear.readline())

    def do(self, what: str, number: int = 0) -> Any:
        self.tell(what, number)
        return self.answer()

    def kill(self) -> list[str]:
        """Kill it at once, and return the complete lines that were still unheard."""
        self.process.kill()
        rest = self._hear.read()
        self.process.wait()
        return [decode(line) for line in rest.split(b"\n")[:-1]]

    def close(self) -> None:
        if self.process.poll() is None:
            self._tell.close()
            self.process.wait(30)
        self._tell.close()
        self._hear.close()


@contextmanager
def workers(data_dir: Path, *sessions: str, databases: Databases = FILES) -> Generator[list[Worker]]:
    """Start workers of one node, all at once, and end them."""
    with nodes({data_dir: sessions}, databases) as started:
        yield started


@contextmanager
def nodes(sessions: Mapping[Path, Sequence[str]], databases: Databases) -> Generator[list[Worker]]:
    """Start the workers of several nodes, each with a data directory, all at once, and end them."""
    started = [Worker(data_dir, session, databases) for data_dir, names in sessions.items() for session in names]
    try:
        for worker in started:
            worker.ready()
        yield started
    finally:
        for worker in started:
            worker.close()


class _Work:
    """What a worker can be told to do."""

    def __init__(self, store: Store, session: str) -> None:
        self._store = store
        self._session = session
        self._clock = SystemClock()
        self._count = 0
        self._open: list[Hold] = []

    async def hold(self, number: int) -> list[str]:
        """Ask for as many holds of 100 n$ at once; return the attempts that were admitted."""
        key = list_keys(self._store.files.ledger)[0]
        asked = [self._hold(key) for _ in range(number)]
        ledger, subject = self._store.ledger, Subject(key.id)
        results = await asyncio.gather(*(ledger.hold(hold, subject) for hold in asked), return_exceptions=True)
        assert {type(result) for result in results} <= {type(None), BudgetExceeded}, results
        admitted = [hold for hold, result in zip(asked, results, strict=True) if result is None]
        self._open += admitted
        return [hold.attempt_id for hold in admitted]

    async def settle(self, cost: int) -> int:
        """Settle all that it holds, each for `cost`."""
        return self._settle(lambda: cost)

    async def settle_any(self, seed: int) -> int:
        """Settle all that it holds, each for any cost up to what it holds."""
        chance = Random(f"{seed} {self._session}")
        return self._settle(lambda: chance.randint(0, 100))

    def _settle(self, cost: Callable[[], int]) -> int:
        for hold in self._open:
            outcome = Outcome(attempt_id=hold.attempt_id, state=State.SETTLED, cost=Nano(cost()), ended_at=1)
            self._store.ledger.end(outcome)
        ended, self._open = len(self._open), []
        return ended

    async def load(self, callers: int) -> None:
        """Hold and settle, until it is killed; tells of each hold."""

        async def call() -> None:
            while True:
                for attempt in await self.hold(1):
                    _say(attempt)
                await asyncio.sleep(0.001)
                await self.settle(7)

        await asyncio.gather(*(call() for _ in range(callers)))

    async def live(self, number: int) -> dict[str, int]:
        """Make so many calls of all keys that live and end in any way; return how many had which fate."""
        keys = list_keys(self._store.files.ledger)
        chance = Random(self._session)
        lives = Lifecycles(self._store.ledger, self._clock, keys, chance, self._session, overruns=0.01, orphans=0.01)
        return dict(await lives.run(number))

    async def log(self, number: int) -> bool:
        """Log so many requests; return whether all were kept."""
        for turn in range(number):
            request = f"req_{self._session}_{turn}"
            self._store.requests.ended(CallRecord(request_id=request, at=1, surface="/", key_id="key_1", status=200))
            await asyncio.sleep(0.0005)
        return self._store.requests.flush() and self._store.requests.dropped == 0

    async def watch(self, _: int) -> str:
        """Look at the keys until the first one is revoked."""
        key = list_keys(self._store.files.ledger)[0]
        async with asyncio.TaskGroup() as tasks:
            await self._store.keys.start(lambda _, work: tasks.create_task(work))
            _say("watching")
            while (known := self._store.keys.known(key.digest)) and not known.revoked_at:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await self._store.keys.stop()
        return "gone" if known is None else "revoked"

    def _hold(self, key: Key) -> Hold:
        self._count += 1
        return Hold(
            attempt_id=f"att_{self._session}_{self._count:06d}",
            request_id="req_1",
            key_id=key.id,
            accounts=(key.account,),
            provider="openai",
            model="m",
            model_asked="m",
            amount=Nano(100),
            held_at=self._clock.unix_ms(),
        )


def _say(what: object) -> None:
    sys.stdout.buffer.write(encode(what) + b"\n")
    sys.stdout.buffer.flush()


def _main(data_dir: str, session: str, address: str) -> None:
    databases = Databases(ledger=Secret(address) if address else None)
    store = Store.join(Path(data_dir), SystemClock(), durability="crash", session=session, databases=databases)
    work = _Work(store, session)
    _say("ready")
    with asyncio.Runner() as runner:
        for line in sys.stdin.buffer:
            what, number = msgspec.json.decode(line, type=tuple[str, int])
            _say(runner.run(getattr(work, what)(number)))
    store.close()


if __name__ == "__main__":
    _main(*sys.argv[1:])
