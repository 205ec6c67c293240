"""The command line, run in this process: with a data directory of its own, and nothing from the environment."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from komeet.cli.commands import program


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass(frozen=True)
class Komeet:
    """`komeet`, with nowhere to go but its own data directory."""

    data_dir: Path

    def __call__(self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Said:
        """Run one command to its end; an exception that it lets out fails the test."""
        environment: dict[str, str | None] = {"KOMEET_DATA_DIR": str(self.data_dir), **(env or {})}
        done = CliRunner().invoke(program, arguments, input=stdin, env=environment, prog_name="komeet")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Said(done.exit_code, done.stdout, done.stderr)

    def key(self, *options: str) -> str:
        """Make a key."""
        said = self("key", "create", *options)
        assert said.status == 0, said.err
        return said.out.strip()


@pytest.fixture
def komeet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Komeet:
    for name in tuple(os.environ):
        if name.endswith(("_KEY", "_TOKEN", "_BASE_URL", "_HOST")) or name.startswith("KOMEET_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return Komeet(tmp_path / "data")


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    """Leave the logging of the other tests as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
