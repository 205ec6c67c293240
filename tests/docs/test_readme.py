"""The README, as it is written, against a running Komeet: its key, its curl, its Python, its commands."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.conftest import ROOT, fenced
from tests.whole.gateway import Gateway, clean_environment

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = fenced(ROOT / "README.md", "sh")
(PYTHON,) = fenced(ROOT / "README.md", "python")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("komeet")) as running:
        yield running


@pytest.fixture
def environment(gateway: Gateway, tmp_path: Path) -> dict[str, str]:
    """Where `komeet` is found, as after `export PATH=…`; the port is the running server's."""
    script = tmp_path / "bin" / "komeet"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m komeet "$@"\n')
    script.chmod(0o755)
    path = f"{script.parent}:{os.environ['PATH']}"
    return clean_environment(gateway.data_dir) | {"PATH": path, "KOMEET_PORT": str(gateway.port)}


def run(script: str, environment: dict[str, str], gateway: Gateway) -> str:
    """Run a block, against the port that the server has; what it prints."""
    shell = "bash" if shutil.which("bash") else "sh"
    done = subprocess.run(
        [shell, "-euc", script.replace("127.0.0.1:4000", f"127.0.0.1:{gateway.port}")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_begins_with_make_serve() -> None:
    assert FIRST.split("#")[0].strip() == "make serve"


def test_the_key_and_the_first_call(gateway: Gateway, environment: dict[str, str]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    script = "\n".join(line for line in SECOND.splitlines() if not line.startswith("export PATH="))
    assert script != SECOND.strip()
    answer = run(script.replace("curl ", "curl -sS "), environment, gateway)
    assert re.search(r'"content":"[^"]', answer)
    assert '"object":"chat.completion"' in answer


def test_the_sdk(gateway: Gateway, environment: dict[str, str]) -> None:
    code = PYTHON.replace("127.0.0.1:4000", f"127.0.0.1:{gateway.port}")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"KOMEET_API_KEY": gateway.key},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 5


def test_the_commands(gateway: Gateway, environment: dict[str, str]) -> None:
    said = run(THIRD.replace("komeet chat ", "komeet chat --max-tokens 16 "), environment, gateway)
    assert "local/smollm2-135m" in said
    assert re.search(r"^sk-km-\S+$", said, re.MULTILINE)
    assert "✓ server" in said
