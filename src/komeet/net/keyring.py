"""Keys that may change while Komeet runs: files that are read again, programs that are run, tokens that are fetched.

Of each key there is one look, run or exchange under way at a time, however many calls wait for it. A key that is good
for a while is had again before it expires, and meanwhile the old one is used; nobody waits for that. Where it cannot be
had again, the old one is used for as long as it is good.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final, TypeAlias

from komeet.core.clock import Clock
from komeet.core.errors import ConnectFailed, KomeetError
from komeet.core.http import Fetcher
from komeet.core.secrets import Secret
from komeet.net.program import run
from komeet.net.tasks import Tasks
from komeet.providers.credential import Credential, FromCommand, FromFile
from komeet.providers.credential import checked as sendable
from komeet.providers.google.account import ServiceAccount, exchange, token_in
from komeet.providers.token import Token, printed

_LOG: Final = logging.getLogger("komeet.net.keyring")

_Place: TypeAlias = tuple[str, str]
_Stamp: TypeAlias = tuple[int, int, int]

LOOK_SECONDS: Final = 1.0
"""How often a file is looked at."""
RETRY_SECONDS: Final = 10.0
"""How long nothing is tried after it failed, while the old key is good."""
_LARGEST: Final = 65_536
"""Bytes of a key, however it comes."""


class _Held:
    """A key that is good for a while, and when to have the next."""

    __slots__ = ("had_at", "renew_at", "secret", "until")

    def __init__(self, token: Token, now: float) -> None:
        self.secret: Final = token.secret
        self.had_at: Final = now
        self.until: Final = now + token.seconds - min(10.0, token.seconds * 0.1)
        self.renew_at = now + token.seconds - min(300.0, token.seconds * 0.2)


class _Read:
    """A file as it was when it was read last."""

    __slots__ = ("look_at", "secret", "stamp")

    def __init__(self) -> None:
        self.secret: Secret | None = None
        self.stamp: _Stamp | None = None
        self.look_at = 0.0


class Keyring:
    """Gives credentials the key that holds now. Each process has one: nothing is shared, and nothing written down."""

    __slots__ = ("_clock", "_fetcher", "_files", "_held", "_tasks", "_under_way")

    def __init__(self, clock: Clock, tasks: Tasks, fetcher: Fetcher) -> None:
        self._clock: Final = clock
        self._tasks: Final = tasks
        self._fetcher: Final = fetcher
        self._held: dict[_Place, _Held] = {}
        self._files: dict[_Place, _Read] = {}
        self._under_way: dict[_Place, asyncio.Task[str | None]] = {}

    async def current(self, provider: str, credential: Credential) -> Credential:
        """Return the credential with the key that holds now; it waits only where there is none yet, or none any more.

        Args:
            provider: the name of whose credential it is.
            credential: one of the provider's.

        Raises:
            ConnectFailed: the key could not be had; nothing was sent to the provider.
        """
        source = credential.source
        if source is None:
            return credential
        place = (provider, credential.name)
        if isinstance(source, FromFile):
            return self._from_file(place, credential, source)
        now = self._now()
        held = self._held.get(place)
        if held is not None and now < held.until:
            if now >= held.renew_at:
                self._renew(place, source)
            return credential.with_secret(held.secret)
        asked = self._renew(place, source)
        # Waited for, not awaited: who leaves does not take the key away from the others.
        await asyncio.wait((asked,))
        problem = "Komeet is shutting down" if asked.cancelled() else asked.result()
        held = self._held.get(place)
        if problem is not None or held is None:
            raise ConnectFailed(
                f"The key for {provider} could not be had; nothing was sent. Komeet's log says why.", detail=problem
            )
        return credential.with_secret(held.secret)

    def forget(self, provider: str, credential: Credential) -> bool:
        """Have the key anew next time, since the provider refused it; return whether that may be another one.

        One that was had a moment ago is kept: who refuses every key does not have a program run for each call.
        """
        place = (provider, credential.name)
        if isinstance(credential.source, FromFile):
            read = self._files.get(place)
            if read is None:
                return False
            read.look_at = 0.0
            try:
                return _stamp(credential.source.path) != read.stamp
            except OSError:
                return False
        held = self._held.get(place)
        if held is None or self._now() < held.had_at + RETRY_SECONDS:
            return False
        del self._held[place]
        return True

    def _now(self) -> float:
        """Return seconds that go on while the machine sleeps: keys expire meanwhile."""
        return self._clock.boot_ns() / 1e9

    def _from_file(self, place: _Place, credential: Credential, source: FromFile) -> Credential:
        read = self._files.get(place)
        if read is None:
            read = self._files[place] = _Read()
            read.secret = credential.secret
            read.look_at = self._now()
        if self._now() >= read.look_at:
            read.look_at = self._now() + LOOK_SECONDS
            try:
                stamp = _stamp(source.path)
                if stamp != read.stamp:
                    read.stamp = stamp
                    read.secret = sendable(Secret(_text(source.path)))
            except (OSError, ValueError) as error:
                # It may be half written: the key that was there last is used until there is another.
                _LOG.warning("the key file of %s cannot be used: %s: %s", place[0], source.path, _reason(error))
        if read.secret is None:
            raise ConnectFailed(f"The key for {place[0]} could not be had; nothing was sent. Komeet's log says why.")
        return credential.with_secret(read.secret)

    def _renew(self, place: _Place, source: FromCommand | ServiceAccount) -> asyncio.Task[str | None]:
        asked = self._under_way.get(place)
        if asked is None:
            asked = self._under_way[place] = self._tasks.spawn(f"key of {place[0]}", self._have(place, source))
        return asked

    async def _have(self, place: _Place, source: FromCommand | ServiceAccount) -> str | None:
        """Have a key and hold it; return what went wrong."""
        try:
            token = await (self._run(source) if isinstance(source, FromCommand) else self._exchange(source))
            sendable(token.secret)
        except (ValueError, OSError, KomeetError) as error:
            problem = _reason(error)
            _LOG.warning("no key for %s (%s): %s", place[0], place[1], problem)
            if (held := self._held.get(place)) is not None:
                held.renew_at = self._now() + RETRY_SECONDS
            return problem
        else:
            self._held[place] = _Held(token, self._now())
            return None
        finally:
            del self._under_way[place]

    async def _exchange(self, account: ServiceAccount) -> Token:
        answer = await self._fetcher.fetch(exchange(account, at_ms=self._clock.unix_ms()))
        try:
            body = await answer.read(_LARGEST)
        finally:
            answer.close()
        return token_in(answer.status, body)

    async def _run(self, command: FromCommand) -> Token:
        program = command.argv[0]
        try:
            text = await run(command.argv, seconds=command.timeout, most=_LARGEST)
            return printed(text, at_ms=self._clock.unix_ms(), expires=command.expires)
        except ValueError as error:
            raise ValueError(f"{program} {error}") from None


def _stamp(path: str) -> _Stamp:
    found = Path(path).stat()
    return found.st_mtime_ns, found.st_ino, found.st_size


def _text(path: str) -> str:
    with Path(path).open("rb") as file:
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise ValueError("too large for a key")
    try:
        return text.decode("ascii").strip()
    except UnicodeDecodeError:
        raise ValueError("not text") from None


def _reason(error: OSError | ValueError | KomeetError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
