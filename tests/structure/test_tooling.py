"""One command builds, checks and starts everything, on a machine that has Python, pip and nothing else."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

TARGETS = frozenset(
    {"serve", "test", "test-long", "test-clients", "soak", "fuzz", "check", "fmt", "bench", "docs", "help"}
)
SHELL = ("sh", "bash", "dirname", "sed", "mkdir", "mktemp", "rm", "mv", "grep", "chmod", "cat")


def _program(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def _run(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH with a shell and its tools, and no Python, uv or make."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in SHELL:
        (folder / name).symlink_to(shutil.which(name) or pytest.fail(f"no {name} here"))
    return folder


@pytest.fixture
def clone(tmp_path: Path, root: Path) -> Path:
    """The part of the repository that fetches uv."""
    shutil.copytree(root / ".ci", tmp_path / "clone" / ".ci")
    return tmp_path / "clone"


def _pinned(root: Path) -> str:
    groups: dict[str, list[str]] = tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]
    return groups["bootstrap"][0].removeprefix("uv==")


def test_the_hashes_that_pip_checks_are_those_of_the_lock(root: Path) -> None:
    packages: list[dict[str, Any]] = tomllib.loads((root / "uv.lock").read_text())["package"]
    locked = next(package for package in packages if package["name"] == "uv")
    hashes = {file["hash"] for file in [*locked["wheels"], locked["sdist"]]}
    pins = (root / ".ci" / "uv.txt").read_text().replace("\\\n", " ").split()
    assert pins[0] == f"uv=={locked['version']}" == f"uv=={_pinned(root)}"
    assert {pin.removeprefix("--hash=") for pin in pins[1:]} == hashes


def test_a_recent_uv_on_the_path_is_used(machine: Path, clone: Path) -> None:
    _program(machine, "uv", 'if [ "$1" = --version ]; then echo "uv 0.13.9 (x86_64)"; else echo "ran $*"; fi')
    done = _run(str(clone / ".ci" / "uv"), "sync", "--frozen", PATH=str(machine))
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran sync --frozen\n", "")
    assert not (clone / ".uv").exists()


PIP = """
case "$*" in
*--version*) exit 0 ;;
*install*) echo "$*" >&2; while [ "$1" != --target ]; do shift; done
  mkdir -p "$2/bin"; printf '#!/bin/sh\\necho "fetched ran $*"\\n' > "$2/bin/uv"; chmod +x "$2/bin/uv" ;;
esac
"""


@pytest.mark.parametrize(
    "uv",
    [
        pytest.param(None, id="none"),
        pytest.param("echo 'uv 0.4.30'", id="too old"),
        pytest.param("echo 'pyenv: uv: command not found' >&2; exit 127", id="a shim with nothing behind it"),
        pytest.param("echo something else", id="another program of that name"),
    ],
)
def test_uv_is_fetched_by_hash_once_where_it_is_missing(machine: Path, clone: Path, root: Path, uv: str | None) -> None:
    if uv is not None:
        _program(machine, "uv", uv)
    _program(machine, "python3", PIP)
    first = _run(str(clone / ".ci" / "uv"), "sync", PATH=str(machine))
    assert (first.returncode, first.stdout) == (0, "fetched ran sync\n"), first.stderr
    assert "--require-hashes" in first.stderr
    assert [file.name for file in (clone / ".uv").iterdir()] == [_pinned(root)]
    second = _run(str(clone / ".ci" / "uv"), "lock", PATH=str(machine))
    assert (second.stdout, second.stderr) == ("fetched ran lock\n", "")


def test_a_broken_download_leaves_nothing_and_fails(machine: Path, clone: Path) -> None:
    _program(machine, "python3", 'case "$*" in *--version*) exit 0 ;; *) echo "no network" >&2; exit 1 ;; esac')
    done = _run(str(clone / ".ci" / "uv"), "sync", PATH=str(machine))
    assert done.returncode != 0
    assert "no network" in done.stderr
    assert not list((clone / ".uv").iterdir())


def test_another_python_is_tried_where_python3_has_no_pip(machine: Path, clone: Path) -> None:
    _program(machine, "python3", "exit 1")
    _program(machine, "python3.12", PIP)
    done = _run(str(clone / ".ci" / "uv"), "sync", PATH=str(machine))
    assert (done.returncode, done.stdout) == (0, "fetched ran sync\n")


def test_without_any_pip_the_message_says_what_to_install(machine: Path, clone: Path) -> None:
    done = _run(str(clone / ".ci" / "uv"), "sync", PATH=str(machine))
    assert done.returncode != 0
    assert "python3-pip" in done.stderr


def _make(root: Path, *argv: str) -> str:
    """Return what make prints; a make around this test is not to be joined."""
    if shutil.which("make") is None:
        pytest.skip("no make here")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = _run("make", "-C", str(root), "--no-print-directory", *argv, **clean)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_make_alone_explains_itself_and_starts_nothing(root: Path) -> None:
    shown = _make(root)
    assert {line.split()[1] for line in shown.splitlines() if line.startswith("  make ")} == TARGETS


def test_make_test_checks_everything_before_it_tests(root: Path) -> None:
    steps = _make(root, "-n", "test", "PYTEST_ARGS=-k ledger").splitlines()
    order = [
        "sync",
        "lock --check",
        "ruff check",
        "ruff format --check",
        "basedpyright",
        "lint-imports",
        "pytest -k ledger",
    ]
    found = [next(index for index, step in enumerate(steps) if part in step) for part in order]
    assert found == sorted(found)


def test_make_test_long_runs_what_ci_leaves_out(root: Path) -> None:
    assert _make(root, "-n", "test-long").splitlines()[-1].endswith("pytest -m long -rP ")
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert settings["addopts"].endswith("-m 'not long'")


def test_make_serve_installs_what_the_lock_says_and_passes_arguments_on(root: Path) -> None:
    steps = _make(root, "-n", "serve", "ARGS=--port 8080").splitlines()
    assert "sync --frozen" in steps[0]
    assert steps[-1].startswith("exec ")  # a signal to make reaches Komeet
    assert steps[-1].endswith("komeet serve --port 8080")


@pytest.fixture
def runner(machine: Path, root: Path, tmp_path: Path) -> Path:
    """A clone that holds .ci/run, with a make that prints what it was given and fails as pytest would."""
    (tmp_path / "clone" / ".ci").mkdir(parents=True)
    shutil.copy(root / ".ci" / "run", tmp_path / "clone" / ".ci")
    echo = 'echo "make $* CI=$CI RECORDINGS=${KOMEET_RECORDINGS-unset}"; echo "=== 1 failed in 2s ==="'
    _program(machine, "make", f'{echo}; echo "make: *** [Makefile:9: test] Error 1" >&2; exit 2')
    (machine / "env").symlink_to(shutil.which("env") or "/usr/bin/env")
    return tmp_path / "clone" / ".ci" / "run"


def _lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    return done.stdout.splitlines()


def test_the_run_of_ci_ends_with_the_last_line_of_pytest_and_its_failure(runner: Path, machine: Path) -> None:
    done = _run(str(runner), PATH=str(machine))
    assert done.returncode == 2
    assert _lines(done)[-1] == "=== 1 failed in 2s ==="
    assert "make --no-print-directory test CI=true RECORDINGS=unset" in done.stdout


def test_the_run_of_ci_succeeds_when_the_tests_do(runner: Path, machine: Path) -> None:
    _program(machine, "make", 'echo "=== 1 passed in 2s ==="')
    done = _run(str(runner), PATH=str(machine))
    assert (done.returncode, done.stdout) == (0, "=== 1 passed in 2s ===\n")


@pytest.mark.parametrize(("given", "expected"), [({}, "beside"), ({"KOMEET_RECORDINGS": "/given"}, "/given")])
def test_recordings_beside_the_repository_are_found(
    runner: Path, machine: Path, tmp_path: Path, given: Mapping[str, str], expected: str
) -> None:
    beside = tmp_path / "shared" / "recordings"
    beside.mkdir(parents=True)
    done = _run(str(runner), **{"PATH": str(machine), **given})
    assert f"RECORDINGS={beside if expected == 'beside' else expected}" in done.stdout


def test_the_bench_starts_and_explains_itself(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.overhead", "--help"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--rounds" in done.stdout
