"""What holds everything: a start that fails leaves nothing behind, a stop goes through to the end."""

import asyncio
from pathlib import Path

import pytest

from komeet import app
from komeet.config import prices
from komeet.config.load import ConfigError
from komeet.config.schema import Config
from komeet.core.clock import SystemClock
from komeet.local.embedded import EmbeddedModels
from komeet.net.client import Client
from komeet.net.tasks import Tasks
from komeet.store.database import Store
from komeet.store.key_directory import KeyDirectory


def test_a_start_that_fails_lets_the_data_directory_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_book() -> None:
        raise ValueError("a price by the phase of the moon")

    monkeypatch.setattr(prices, "compile_book", compile_book)
    with pytest.raises(ConfigError, match="moon"):
        app.Gateway(Config(), tmp_path, ())
    Store.open(tmp_path, SystemClock()).close()


@pytest.mark.parametrize("fails", [None, EmbeddedModels, KeyDirectory, Client])
def test_a_stop_goes_through_to_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: type[object] | None
) -> None:
    ended: list[str] = []

    def note(owner: type[object], name: str) -> None:
        was = getattr(owner, name)

        def noted(self: object, *arguments: object) -> object:
            ended.append(owner.__name__)
            if owner is fails:
                raise RuntimeError("this part fails")
            return was(self, *arguments)

        monkeypatch.setattr(owner, name, noted)

    async def main() -> None:
        gateway = app.Gateway(Config(), tmp_path, ())
        await gateway.start()
        note(EmbeddedModels, "close")
        note(KeyDirectory, "stop")
        note(Tasks, "drain")
        note(Client, "aclose")
        note(Store, "close")
        await gateway.stop(0.1)

    if fails is None:
        asyncio.run(main())
    else:
        with pytest.raises(RuntimeError, match="this part fails"):
            asyncio.run(main())
    assert ended == ["EmbeddedModels", "KeyDirectory", "Tasks", "Client", "Store"]
    Store.open(tmp_path, SystemClock()).close()
