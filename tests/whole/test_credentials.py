"""Several keys of one provider: from the environment, a file that changes, a program; by weight, and set aside."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.whole.gateway import Gateway
from tests.whole.processes import until
from tests.whole.upstream import HELLO, Received, Step, Upstream, whole

REFUSED = {"error": {"message": "Incorrect API key provided.", "type": "x", "param": None, "code": "invalid_api_key"}}


class Doors:
    """A provider that lets some keys in."""

    def __init__(self, *keys: str) -> None:
        self.good = {f"sk-upstream-canary-{key}" for key in keys}

    def __call__(self, request: Received) -> Sequence[Step]:
        return whole(HELLO) if _key(request) in self.good else whole(REFUSED, status=401)


def _key(request: Received) -> str:
    return request.headers["authorization"].removeprefix("Bearer ")


def shown(upstream: Upstream) -> Counter[str]:
    return Counter(_key(request).removeprefix("sk-upstream-canary-") for request in upstream.received)


def config(upstream: Upstream, *credentials: dict[str, Any]) -> dict[str, Any]:
    return {
        "providers": [{"name": "openai", "base_url": upstream.url, "credentials": list(credentials)}],
        "embedded": {"enabled": False},
        "server": {"workers": 1},
    }


def clean(gateway: Gateway) -> None:
    assert "canary" not in gateway.errors()
    assert gateway.audit() == []


def test_keys_of_the_environment_take_turns_and_a_refused_one_costs_nobody_a_call(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        monkeypatch.setitem(os.environ, f"KEY_{name.upper()}", f"sk-upstream-canary-{name}")
    three_to_one = ({"name": "a", "weight": 3, "env": "KEY_A"}, {"name": "b", "env": "KEY_B"})
    upstream.answer = doors = Doors("a", "b")
    with Gateway(tmp_path, config(upstream, *three_to_one)) as gateway:
        assert [gateway.chat().status for _ in range(20)] == [200] * 20
        assert shown(upstream) == {"a": 15, "b": 5}
        upstream.received.clear()
        doors.good.discard("sk-upstream-canary-a")
        assert [gateway.chat().status for _ in range(20)] == [200] * 20
        assert shown(upstream)["b"] == 20
        assert shown(upstream)["a"] <= 2, "shown once, and again only after ten seconds"
        until(lambda: gateway.holds() == len(gateway.outcomes()))
        clean(gateway)


def test_a_file_that_changes_is_read_when_its_key_is_refused(tmp_path: Path, upstream: Upstream) -> None:
    file = tmp_path / "key"
    file.write_text("sk-upstream-canary-old\n")
    upstream.answer = doors = Doors("old")
    data = tmp_path / "data"
    data.mkdir()
    with Gateway(data, config(upstream, {"name": "filed", "file": str(file)})) as gateway:
        assert gateway.chat().status == 200
        doors.good = {"sk-upstream-canary-new"}
        file.write_text("sk-upstream-canary-new\n")
        assert [gateway.chat().status for _ in range(3)] == [200] * 3
        assert shown(upstream)["new"] == 3
        clean(gateway)


def test_a_program_is_run_once_for_many_calls(tmp_path: Path, upstream: Upstream) -> None:
    program = tmp_path / "vault.py"
    program.write_text(
        "import pathlib\n"
        f"with pathlib.Path({str(tmp_path / 'runs')!r}).open('a') as file:\n"
        "    file.write('x')\n"
        "print('sk-upstream-canary-printed')\n"
    )
    upstream.answer = Doors("printed")
    data = tmp_path / "data"
    data.mkdir()
    vault = {"name": "vault", "command": [sys.executable, str(program)]}
    with Gateway(data, config(upstream, vault)) as gateway:
        assert [gateway.chat().status for _ in range(10)] == [200] * 10
        assert (tmp_path / "runs").read_text() == "x"
        clean(gateway)


def test_a_program_that_fails_is_told_without_what_it_printed(tmp_path: Path, upstream: Upstream) -> None:
    program = [sys.executable, "-c", "import sys; print('sk-upstream-canary'); sys.exit(3)"]
    with Gateway(tmp_path, config(upstream, {"name": "vault", "command": program})) as gateway:
        answer = gateway.chat()
        assert answer.status in {502, 503}
        assert "could not be had" in answer.error["message"]
        assert upstream.received == []
        until(lambda: gateway.holds() == len(gateway.outcomes()))
        clean(gateway)
