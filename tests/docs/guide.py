"""What stands on docs/guide.md, and what it does: every block in its order, against a running Komeet."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from tests.docs.conftest import ROOT
from tests.whole.gateway import Gateway, clean_environment

PAGE = ROOT / "docs" / "guide.md"
_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ADDRESS = "http://127.0.0.1:4000"


@dataclass(frozen=True)
class Block:
    """A fenced block; `expected` is the ```text``` block that follows it at once, which is what it prints."""

    number: int
    section: str
    language: str
    text: str
    expected: str = ""

    @property
    def name(self) -> str:
        """Where it stands, for the names of tests."""
        return f"{self.section}-{self.language}-{self.number}"


@dataclass(frozen=True)
class Ran:
    """What a block did."""

    status: int
    printed: str
    complained: str


def blocks(page: str) -> list[Block]:
    """Every block that says or does something; what a block prints is part of it."""
    found = list(_BLOCK.finditer(page))
    outputs = {
        after.start(): before.start()
        for before, after in pairwise(found)
        if after[1] == "text" and before[1] != "text" and not page[before.end() : after.start()].strip()
    }
    expected = {outputs[block.start()]: block[2] for block in found if block.start() in outputs}
    kept = [block for block in found if block.start() not in outputs]
    return [
        Block(number, _section(page, block.start()), block[1], block[2], expected.get(block.start(), ""))
        for number, block in enumerate(kept)
    ]


def _section(page: str, at: int) -> str:
    return re.findall(r"^## (\d+)", page[:at], re.MULTILINE)[-1]


def configuration(found: list[Block], url: str) -> dict[str, Any]:
    """The configurations of the page, as one file, with its providers at `url`."""
    merged: dict[str, Any] = {}
    for block in found:
        if block.language == "yaml":
            for name, value in yaml.safe_load(block.text).items():
                assert name not in merged, f"{name} is on the page twice"
                merged[name] = value
    merged["providers"] = [provider | {"base_url": url} for provider in merged["providers"]]
    return merged


def agrees(expected: str, printed: str) -> bool:
    """Whether this was printed; `…` stands for anything, and spaces at the ends of lines do not count."""
    pattern = ".*".join(re.escape(piece) for piece in _bare(expected).split("…"))
    return re.fullmatch(pattern, _bare(printed), re.DOTALL) is not None


def _bare(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


class Reader:
    """Somebody who types what the page says, in one shell, with one set of programs."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self._gateway = gateway
        self._folder = folder
        self._begin = ""
        script = folder / "bin" / "komeet"
        script.parent.mkdir(parents=True)
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m komeet "$@"\n')
        script.chmod(0o755)
        self.environment = clean_environment(gateway.data_dir) | {
            "PATH": f"{script.parent}:{os.environ['PATH']}",
            **gateway.environment,
            "KOMEET_CONFIG": str(gateway.data_dir / "test.yaml"),
            "KOMEET_PORT": str(gateway.port),
            "COLUMNS": "110",
            "PYTHONIOENCODING": "utf-8",
        }

    def follow(self, found: list[Block]) -> Iterator[tuple[Block, Ran]]:
        """Do what the blocks say, in their order."""
        for block in found:
            match block.language:
                case "sh":
                    yield block, self._shell(block.text)
                case "python":
                    yield block, self._program(block.text)
                case _:
                    pass

    def _shell(self, text: str) -> Ran:
        """Run a block; what it exports is there for those that follow."""
        kept = self._folder / "exported"
        script = text.replace(_ADDRESS, f"http://127.0.0.1:{self._gateway.port}")
        ran = self._run("bash", "-euc", f"{script}\nenv -0 > {kept}", environment=self.environment)
        if ran.status == 0:
            pairs = [pair.partition("=") for pair in kept.read_text("utf-8").split("\0") if pair]
            self.environment |= {name: value for name, _, value in pairs if name.startswith("KOMEET_")}
        return ran

    def _program(self, text: str) -> Ran:
        """Run a program; the page's first one is how all of them begin."""
        ran = self._run(sys.executable, "-c", self._begin + text, environment=self.environment)
        self._begin = self._begin or text
        return ran

    def _run(self, *command: str, environment: Mapping[str, str]) -> Ran:
        done = subprocess.run(
            command, env=dict(environment), cwd=self._folder, capture_output=True, text=True, check=False, timeout=100
        )
        return Ran(done.returncode, done.stdout, done.stderr)
