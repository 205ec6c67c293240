"""Usage is counted by one thread at a time: what each would load and keep is not multiplied by how many end at once."""

import asyncio
import threading
import time

import pytest

from komeet.app import Counting
from komeet.canonical.usage import Usage
from komeet.metering.count import TokenCounter


def test_counts_do_not_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = threading.Lock()

    def estimate(self: TokenCounter, prompt: str, output: str, *, encoding: str, messages: int = 1) -> Usage:
        assert busy.acquire(blocking=False), "two at a time"
        time.sleep(0.002)
        busy.release()
        return Usage(input=len(prompt), output=len(output))

    async def main() -> list[Usage]:
        counting = Counting()
        return await asyncio.gather(*(counting.estimate("a" * number, "", "x") for number in range(50)))

    monkeypatch.setattr(TokenCounter, "estimate", estimate)
    assert [usage.input for usage in asyncio.run(main())] == list(range(50))
