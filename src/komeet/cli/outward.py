"""The way from here to the providers, as the server goes it: its files for TLS, its proxies, its connections."""

import asyncio
import os
from collections.abc import Sequence
from typing import cast

from msgspec import Struct

from komeet import app
from komeet.cli.setup import Setup
from komeet.core.clock import SystemClock
from komeet.core.errors import ConnectFailed
from komeet.net.dial import Dialer, place
from komeet.net.proxies import Proxies
from komeet.net.resolve import Resolver
from komeet.net.tasks import Tasks
from komeet.net.trust import Trust
from komeet.providers.provider import Provider


class Ways(Struct, frozen=True, kw_only=True):
    """What leads to providers."""

    trust: Trust
    proxies: Proxies


def ways(setup: Setup) -> Ways:
    """Return what a server of this configuration would go by; raises ConfigError where it could not start with it."""
    return Ways(
        trust=app.trust_of(setup.config, setup.found.providers), proxies=app.proxies_of(setup.config, os.environ)
    )


def proxy_of(provider: Provider, ways: Ways) -> str | None:
    """Return host and port of the proxy on the way to a provider, if there is one."""
    proxy = ways.proxies.towards(provider.origin)
    return None if proxy is None else place(proxy.origin)


def connect(providers: Sequence[Provider], ways: Ways) -> list[str | None]:
    """Connect to each, and send nothing; return what went wrong, or None, in their order."""
    with asyncio.Runner() as runner:
        return runner.run(_connect(providers, ways))


async def _connect(providers: Sequence[Provider], ways: Ways) -> list[str | None]:
    tasks = Tasks()
    dialer = Dialer(Resolver(SystemClock(), tasks, 0.0), ways.trust, ways.proxies, tasks)
    said = await asyncio.gather(*(_knock(provider, dialer) for provider in providers))
    await tasks.drain(0.0)
    return list(said)


async def _knock(provider: Provider, dialer: Dialer) -> str | None:
    seconds = provider.deadlines.connect
    try:
        async with asyncio.timeout(seconds):
            knock = await dialer.dial(provider.origin, _Knock)
    except TimeoutError:
        return f"No connection to {place(provider.origin)} within {seconds:g} s."
    except ConnectFailed as error:
        return error.message
    knock.leave()
    return None


class _Knock(asyncio.Protocol):
    """Leaves when somebody has opened."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def leave(self) -> None:
        if self._transport is not None:
            self._transport.abort()
