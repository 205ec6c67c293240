"""The compiled price book is kept between starts, and believed only as it was written."""

from pathlib import Path

import pytest

from komeet.catalog.book import Book, Entry, Hours, Period, Shelf, book_name
from komeet.catalog.clauses import Equals
from komeet.catalog.price import FREE
from komeet.config import prices
from komeet.config.load import ConfigError

BOOK = Book("test", {"p": Shelf(entries=(Entry(id="m", match=Equals("m"), periods=(Period(0, (Hours(0, FREE),)),)),))})


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the book was compiled, as one number for each time."""
    times: list[int] = []

    def compile_book() -> Book:
        times.append(len(times))
        return BOOK

    monkeypatch.setattr(prices, "compile_book", compile_book)
    return times


def test_it_is_compiled_once(tmp_path: Path, compiled: list[int]) -> None:
    for _ in range(3):
        assert prices.load_book(tmp_path).find("p", "m", at=0) == FREE
    assert len(compiled) == 1
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("place", [0, 40, -1])
@pytest.mark.parametrize("how", ["changed", "cut", "empty"])
def test_a_damaged_book_is_compiled_anew(
    tmp_path: Path, compiled: list[int], place: int, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    prices.load_book(tmp_path)
    path = tmp_path / "cache" / book_name()
    kept = bytearray(path.read_bytes())
    kept[place] ^= 1
    path.write_bytes({"changed": bytes(kept), "cut": bytes(kept[:place]), "empty": b""}[how])
    assert prices.load_book(tmp_path).find("p", "m", at=0) == FREE
    assert "compiling prices anew" in caplog.text
    prices.load_book(tmp_path)
    assert len(compiled) == 2


def test_where_it_cannot_be_kept_it_is_compiled_each_time(
    tmp_path: Path, compiled: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").touch()
    for _ in range(2):
        assert prices.load_book(tmp_path).find("p", "m", at=0) == FREE
    assert len(compiled) == 2
    assert "not kept" in caplog.text


def test_prices_that_cannot_be_read_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_book() -> Book:
        raise ValueError("a price by the phase of the moon")

    monkeypatch.setattr(prices, "compile_book", compile_book)
    with pytest.raises(ConfigError, match=r"genai-prices .*moon.*install another release"):
        prices.load_book(tmp_path)
