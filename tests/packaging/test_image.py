"""The image, built for real and run as docs/operations.md says: read only, not root, without any network.

Needs podman and a base image, so it runs where somebody asks for it:

    KOMEET_TEST_PODMAN=podman KOMEET_TEST_BASE=docker.io/library/python:3.11-slim-bookworm pytest tests/packaging

`KOMEET_TEST_PODMAN` may have options (`podman --runtime runc`), and `KOMEET_TEST_BUILD` those of the build. Without a
registry a base is made by `debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv`.
"""

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASE = os.environ.get("KOMEET_TEST_BASE")
NAME = "komeet-test"
_HARDENED = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--network=none",
)
_LIMITS = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=4000:4000", "--no-healthcheck")  # no systemd to run it

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(BASE is None, reason="KOMEET_TEST_BASE names no base image"),
]


def _podman(*arguments: str) -> str:
    command = [*shlex.split(os.environ.get("KOMEET_TEST_PODMAN", "podman")), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def container() -> Iterator[str]:
    options = shlex.split(os.environ.get("KOMEET_TEST_BUILD", ""))
    file = "packaging/Containerfile"
    _podman("build", *options, "--format=docker", f"--build-arg=BASE={BASE}", "--file", file, "--tag", NAME, ".")
    _podman("run", "--detach", "--name", NAME, *_HARDENED, *_LIMITS, "--volume", f"{NAME}:/var/lib/komeet", NAME)
    yield NAME
    _podman("rm", "--force", NAME)
    _podman("volume", "rm", NAME)


def _in(container: str, *command: str) -> str:
    return _podman("exec", container, *command)


def test_it_answers_a_call_is_backed_up_and_stops_in_good_order(container: str) -> None:
    end = time.monotonic() + 30
    while "listens on" not in _podman("logs", container):
        assert time.monotonic() < end, _podman("logs", container)
        time.sleep(0.1)
    assert _in(container, "komeet", "health") == "127.0.0.1 port 4000: ok\n"
    assert _in(container, "id", "-u") == "65532\n"
    assert "+ 3 tokens" in _in(container, "komeet", "chat", "-m", "smollm2-135m", "--max-tokens", "3", "Hi")
    assert "checked" in _in(container, "komeet", "backup", "/var/lib/komeet")
    _podman("stop", "--time", "40", container)
    assert _podman("inspect", "--format", "{{.State.ExitCode}}", container) == "0\n"
    assert "Stopped; everything is settled." in _podman("logs", container)
