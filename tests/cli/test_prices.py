"""Prices of a release that Komeet cannot read end a command with what to do, and no traceback."""

import pytest
from tests.cli.conftest import Komeet

from komeet.config import prices


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("chat", "--port", "1", "Hi"), ("models",), ("doctor",)])
def test_prices_that_cannot_be_read(command: tuple[str, ...], komeet: Komeet, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_book() -> None:
        raise ValueError("a price by the phase of the moon")

    monkeypatch.setattr(prices, "compile_book", compile_book)
    said = komeet(*command)
    assert (said.status, said.out) == (1, "")
    assert "moon" in said.err
    assert "install another release" in said.err
