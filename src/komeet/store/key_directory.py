"""The keys that a server has in hand: a copy of the store's, at most a poll behind, or none at all."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from komeet.access.keys import Key
from komeet.core.clock import Clock
from komeet.core.errors import Unavailable
from komeet.store.faults import describe
from komeet.store.keys import find_keys, keys_epoch
from komeet.store.quiet_log import QuietLog

_LOG = logging.getLogger(__name__)
_SEARCHERS = 2
_MOST_SEARCHES = 256
"""Keys that are looked for at once; strangers may make up any number of them."""

Spawn = Callable[[str, Coroutine[Any, Any, None]], object]
"""Starts supervised work: a name for it, and the work."""


@final
class KeyDirectory:
    """Finds keys by their digest (see `access.keys.KeyStore`).

    A key that was made, revoked or changed by any process counts here within one poll. When the store has been out of
    reach for longer than the grace, no key is known any more: a revocation that cannot be seen must not be missed.

    It looks with threads of its own, so that a database that does not answer keeps nothing waiting but them.
    """

    def __init__(
        self, engine: Engine, clock: Clock, *, poll: float = 0.25, grace: float = 30.0, patience: float = 0.25
    ) -> None:
        """Hold no keys yet: `refresh` loads them; `close` ends the threads.

        Args:
            engine: of the ledger.
            clock: measures the grace.
            poll: seconds between two looks at the store.
            grace: seconds after the last successful look during which the copy is believed.
            patience: seconds that a caller waits for a key that is not in hand.
        """
        self._engine = engine
        self._clock = clock
        self._poll = poll
        self._grace = grace
        self._patience = patience
        self._looking = ThreadPoolExecutor(1, "komeet-keys-look")
        self._searching = ThreadPoolExecutor(_SEARCHERS, "komeet-keys-search")
        self._keys: dict[bytes, Key] = {}
        self._epoch: int | None = None
        self._seen_at: float | None = None
        self._refreshing = Lock()
        self._searches: dict[bytes, asyncio.Future[Key | None]] = {}
        self._stopping = asyncio.Event()
        self._log = QuietLog(_LOG, clock)

    def known(self, digest: bytes) -> Key | None:
        """Return the key if it is in hand and the copy is to be believed; see the port."""
        key = self._keys.get(digest)
        if key is None or self._seen_at is None or self._clock.monotonic() - self._seen_at > self._grace:
            return None
        return key

    async def find(self, digest: bytes) -> Key | None:
        """Look the key up in the store; see the port."""
        search = self._searches.get(digest)
        if search is None:
            if len(self._searches) >= _MOST_SEARCHES:
                raise _unavailable()
            search = asyncio.get_running_loop().run_in_executor(self._searching, self._search, digest)
            self._searches[digest] = search
            search.add_done_callback(lambda done: self._forget(digest, done))
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(search)
        except TimeoutError:
            raise _unavailable() from None

    async def start(self, spawn: Spawn) -> None:
        """Look at the store from now on, in a task that `spawn` starts."""
        spawn("keys", self._watch())

    async def stop(self) -> None:
        """End the task that `start` spawned."""
        self._stopping.set()

    def close(self) -> None:
        """End the threads, once they have an answer; nothing is found any more."""
        self._looking.shutdown(wait=False, cancel_futures=True)
        self._searching.shutdown(wait=False, cancel_futures=True)

    def refresh(self) -> bool:
        """Look at the store, and take over what has changed; False when it is out of reach. Blocks."""
        with self._refreshing:
            now = self._clock.monotonic()
            try:
                with self._engine.connect() as connection, connection.begin():
                    epoch = keys_epoch(connection)
                    if epoch != self._epoch:
                        self._keys = {key.digest: key for key in find_keys(connection)}
                        self._epoch = epoch
            except SQLAlchemyError as error:
                self._log.write(logging.ERROR, "keys: the store is out of reach: %s", describe(error))
                return False
            self._seen_at = now
            return True

    async def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(self._poll):
                    await self._stopping.wait()
            except TimeoutError:
                await asyncio.get_running_loop().run_in_executor(self._looking, self.refresh)

    def _search(self, digest: bytes) -> Key | None:
        try:
            with self._engine.connect() as connection:
                return next(iter(find_keys(connection, digest)), None)
        except SQLAlchemyError as error:
            self._log.write(logging.ERROR, "keys: the store is out of reach: %s", describe(error))
            raise _unavailable() from None

    def _forget(self, digest: bytes, done: "asyncio.Future[Key | None]") -> None:
        del self._searches[digest]
        if not done.cancelled():
            done.exception()  # has been seen, even if every caller has left


def _unavailable() -> Unavailable:
    return Unavailable("The store of API keys is out of reach. Try again.", retry_after=1)
