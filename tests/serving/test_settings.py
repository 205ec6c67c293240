"""How many workers there are, and when a file counts as changed."""

from pathlib import Path

import pytest

from komeet.config.load import ConfigError
from komeet.serving.settings import Source


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "komeet.yaml"
    path.write_text("server: {workers: 3}\n")
    return path


def test_the_command_line_comes_before_the_file(file: Path) -> None:
    assert Source(file, None, {}).read().workers == 3
    assert Source(file, 2, {}).read().workers == 2
    assert 1 <= Source(None, None, {}).read().workers <= 4


def test_what_is_wrong_with_it_is_said_with_its_name(file: Path) -> None:
    file.write_text("providers: [{name: openai}]\n")
    with pytest.raises(ConfigError, match="api_key"):
        Source(file, None, {}).read()
    file.unlink()
    with pytest.raises(ConfigError, match=r"komeet\.yaml"):
        Source(file, None, {}).read()


def test_a_change_counts_once_it_is_read_twice_alike(file: Path) -> None:
    source = Source(file, None, {})
    known = source.read().text
    assert source.changed(known) is None
    assert source.changed(known) is None
    file.write_text("server: {wor")
    assert source.changed(known) is None
    file.write_text("server: {workers: 4}\n")
    assert source.changed(known) is None
    assert source.changed(known) == "server: {workers: 4}\n"


@pytest.mark.parametrize("how", ["gone", "empty", "binary"])
def test_a_file_that_is_on_its_way_is_no_change(how: str, file: Path) -> None:
    source = Source(file, None, {})
    known = source.read().text
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(b"" if how == "empty" else b"\xff\xfe")
    assert [source.changed(known) for _ in range(3)] == [None] * 3


def test_without_a_file_nothing_changes() -> None:
    assert Source(None, None, {}).changed("") is None
