"""The program as a whole: help that reads well, mistakes that are named, and no traceback."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Komeet
from typer.main import get_command

from komeet import __version__
from komeet.cli.commands import COMMANDS, program


def run(*arguments: str, env: Mapping[str, str], data_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "komeet", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(data_dir), "KOMEET_DATA_DIR": str(data_dir), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def paths() -> list[tuple[str, ...]]:
    """Every command and every group, as they are called."""
    group: Any = get_command(program)
    context = group.make_context("komeet", ["--help"], resilient_parsing=True)
    found: list[tuple[str, ...]] = [()]
    for name in COMMANDS:
        below = getattr(group.get_command(context, name), "commands", {})
        found += [(name,), *((name, inner) for inner in below)]
    return found


@pytest.mark.parametrize("path", paths(), ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_everything_has_help_that_fits_a_terminal(komeet: Komeet, path: tuple[str, ...], flag: str) -> None:
    said = komeet(*path, flag, env={"COLUMNS": "80"})
    assert (said.status, said.err) == (0, "")
    assert said.lines[0].startswith(" ".join(("Usage: komeet", *path)))
    assert max(map(len, said.lines)) <= 80
    assert not any(line.endswith("...") for line in said.lines[1:]), "a summary is too long, and is cut"
    assert not re.search(r"--[a-z-]+ +<bool>|╭", said.out)


@pytest.mark.parametrize("path", [(), ("key",), ("config",), ("model",)], ids=" ".join)
def test_a_group_alone_explains_itself(komeet: Komeet, path: tuple[str, ...]) -> None:
    said = komeet(*path)
    assert said.status == 2
    assert "Commands:" in said.out + said.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("serv",), "Did you mean 'serve'?"),
        (("nonsense",), "No such command 'nonsense'."),
        (("key", "lst"), "No such command 'lst'"),
        (("serve", "--prot", "1"), "--port"),
        (("serve", "--port", "70000"), "65535"),
        (("chat",), "PROMPT"),
        (("chat", "Hi", "--max-tokens", "0"), "--max-tokens"),
        (("usage", "extra"), "extra"),
    ],
)
def test_a_mistake_in_the_options_is_named_and_ends_with_status_2(
    komeet: Komeet, arguments: tuple[str, ...], named: str
) -> None:
    said = komeet(*arguments)
    assert (said.status, said.out) == (2, "")
    assert named in said.err


def test_version(komeet: Komeet, tmp_path: Path) -> None:
    assert komeet("--version").out == f"komeet {__version__}\n"
    assert run("--version", env={}, data_dir=tmp_path).stdout == f"komeet {__version__}\n"


def test_a_terminal_that_lacks_a_sign_gets_another(tmp_path: Path) -> None:
    run("key", "create", env={}, data_dir=tmp_path)
    done = run("key", "list", env={"PYTHONIOENCODING": "ascii"}, data_dir=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "default" in done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("komeet ke", {"key"}),
        ("komeet key ", {"create", "list", "revoke", "budget"}),
        ("komeet serve --po", {"--port"}),
    ],
)
def test_the_shell_completes(tmp_path: Path, typed: str, offered: set[str]) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1), "_KOMEET_COMPLETE": "complete_bash"}
    main = "import sys; sys.argv[0] = 'komeet'; from komeet.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", main],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **words},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    assert offered <= set(done.stdout.split())
