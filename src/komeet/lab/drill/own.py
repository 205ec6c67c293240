"""A Komeet of the drill's own: the real command, in a process and a data directory of its own."""

import asyncio
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct

from komeet.lab.drill.upstream import Address

ROUTE: Final = "drill"
DEADLINE: Final = 1.5
"""Seconds for the first byte, and between two pieces: short, so that the drill is."""
_START: Final = 60.0
_STOP: Final = 30.0
_LISTENS: Final = re.compile(rb"http://127\.0\.0\.1:\d+")
_STRANGE: Final = ("_API_KEY", "_BASE_URL", "_TOKEN", "_PROXY", "_proxy")


class CannotStart(Exception):
    """The message says why."""


class Running(Struct, frozen=True):
    """A Komeet that runs."""

    url: str
    key: str
    data_dir: Path


def configuration(first: Address, second: Address) -> dict[str, Any]:
    """Return its configuration: two providers, and a route that leads from one to the other."""
    deadlines = {"connect": 2, "first_byte": DEADLINE, "idle": DEADLINE, "total": 15}
    providers = [
        {"name": name, "base_url": where.url, "api_key": "sk-drill", "deadlines": deadlines}
        for name, where in (("first", first), ("second", second))
    ]
    groups = [{"candidates": [{"model": f"{name}/drill-{name}"}]} for name in ("first", "second")]
    return {
        "providers": providers,
        "prices": [{"provider": name, "model": "*", "input": 1, "output": 2} for name in ("first", "second")],
        "routes": [{"name": ROUTE, "groups": groups}],
        "failover": {"wait_seconds": 1.5, "breaker": {"seconds": 0.2, "longest_seconds": 0.5}},
        "embedded": {"enabled": False},
        "console": {"enabled": False},
        "server": {"workers": 1},
        "connections": {"proxies": "none"},
        "ledger": {"durability": "crash"},
        "log": {"level": "error"},
    }


@contextlib.asynccontextmanager
async def running(first: Address, second: Address) -> AsyncGenerator[Running]:
    """Start one, and stop it at the end.

    Raises:
        CannotStart: it did not listen.
    """
    with tempfile.TemporaryDirectory(prefix="komeet-drill-") as folder:
        data_dir = Path(folder) / "data"
        file = Path(folder) / "komeet.yaml"
        file.write_text(yaml.safe_dump(configuration(first, second)), "utf-8")
        environment = _environment(data_dir)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "komeet", "serve", "--port", "0", "--config", str(file)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        try:
            url = await _listens(process)
            yield Running(f"{url}/v1", await _key(environment), data_dir)
        finally:
            await _stopped(process)


def _environment(data_dir: Path) -> dict[str, str]:
    """Return the environment without what would change the configuration."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("KOMEET_") and not name.endswith(_STRANGE)
    }
    return kept | {"KOMEET_DATA_DIR": str(data_dir), "NO_COLOR": "1"}


async def _listens(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START):
            async for line in process.stdout:
                if found := _LISTENS.search(line):
                    return found[0].decode()
    raise CannotStart("Komeet did not start; it says why above")


async def _key(environment: Mapping[str, str]) -> str:
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "komeet", "key", "create", "--name", "drill"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=dict(environment),
    )
    said, _ = await made.communicate()
    if made.returncode:
        raise CannotStart("no key could be made; Komeet says why above")
    return said.decode().strip()


async def _stopped(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
