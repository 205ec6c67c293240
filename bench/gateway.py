"""The gateway that is measured: `komeet serve` as a user starts it, or any other command."""

import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Protocol

from bench.processes import ROOT, NotStarted, Running

_CONFIG = """\
providers:
  - name: openai
    base_url: http://127.0.0.1:{upstream}/v1
    api_key: upstream
"""


class Gateway(Protocol):
    """Something that can be started in front of an upstream."""

    @property
    def name(self) -> str: ...

    @property
    def key(self) -> str:
        """What a caller of the gateway started last presents."""
        ...

    def start(self, port: int, upstream: int, folder: Path, env: dict[str, str]) -> Running:
        """Start it on `port` with `upstream` (a port) as its provider and `env` added to the environment."""
        ...


class Komeet:
    """`komeet serve` with its defaults: a data folder of its own, one provider, one key."""

    name = "komeet"

    def __init__(self) -> None:
        self.key = ""

    def start(self, port: int, upstream: int, folder: Path, env: dict[str, str]) -> Running:
        own = Path(tempfile.mkdtemp(prefix="komeet-", dir=folder))
        config = own / "komeet.yaml"
        config.write_text(_CONFIG.format(upstream=upstream))
        options = {"KOMEET_CONFIG": str(config), "KOMEET_DATA_DIR": str(own / "data")}
        komeet = shutil.which("komeet", path=str(Path(sys.executable).parent)) or "komeet"
        made = subprocess.run(
            [komeet, "key", "create", "--name", "bench", "--json"],
            env={**os.environ, **options},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise NotStarted(f"`komeet key create` failed:\n{made.stdout}{made.stderr}")
        self.key = str(json.loads(made.stdout)["key"])
        return Running([komeet, "serve", "--port", str(port)], own / "log", {**options, **env})


class Command:
    """Any command line, in which `{port}`, `{upstream}` (a port) and `{key}` are filled in."""

    name = "other"

    def __init__(self, template: str) -> None:
        self._template = template
        self.key = f"sk-{secrets.token_hex(16)}"

    def start(self, port: int, upstream: int, folder: Path, env: dict[str, str]) -> Running:
        filled = [part.format(port=port, upstream=upstream, key=self.key) for part in shlex.split(self._template)]
        return Running(filled, folder / "other.log", env)
