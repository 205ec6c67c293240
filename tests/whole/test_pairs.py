"""Parallel calls, a tool that fails, and reasoning over several turns: by the real libraries, on all nine pairs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from tests.whole.gateway import Gateway, clean_environment
from tests.whole.scripted import EXPECTED, Script
from tests.whole.upstream import Upstream

CLIENTS: Final = Path(__file__).parents[1] / "clients"
CALLERS: Final = ("openai_chat", "openai_responses", "anthropic_messages", "gemini")
FORMATS: Final = (*CALLERS, "bedrock_converse")


class Stage:
    """A running Komeet with a provider of each format, all of them scripted."""

    def __init__(self, gateway: Gateway, upstream: Upstream) -> None:
        self.gateway = gateway
        self.upstream = upstream

    def play(self, python: str, caller: str, provider: str, form: str) -> Any:
        """Let a client talk to a provider; return what it says of it."""
        script = Script()
        self.upstream.answer = script.answer
        done = subprocess.run(
            [
                python,
                str(CLIENTS / f"{caller}.py"),
                f"http://127.0.0.1:{self.gateway.port}",
                self.gateway.key,
                f"{provider}/scripted",
                form,
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=clean_environment(self.gateway.data_dir),
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert script.missing == []
        return json.loads(done.stdout)


def _providers(url: str) -> Mapping[str, Any]:
    return {"providers": [{"name": f"p-{name}", "base_url": url, "formats": [name]} for name in FORMATS]}


PASSED: Final = [(True, caller, provider) for caller in CALLERS for provider in FORMATS]
HUB: Final = [(False, name, name) for name in CALLERS]
"""Like and like, through the neutral model all the same; unlike pairs always go through it."""


def _each(pairs: Sequence[tuple[bool, str, str]]) -> pytest.MarkDecorator:
    ids = [f"{'passed' if passed else 'hub'}-{caller}-{provider}" for passed, caller, provider in pairs]
    return pytest.mark.parametrize(("stage", "caller", "provider"), pairs, ids=ids, indirect=["stage"])


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """With the identity path, or with everything through the hub."""
    with Upstream() as upstream:
        config = {**_providers(upstream.url), "translation": {"pass_through": request.param}}
        with Gateway(tmp_path_factory.mktemp("pairs"), config=config) as gateway:
            yield Stage(gateway, upstream)


@pytest.mark.parametrize("form", ["whole", "stream"])
@_each([*PASSED, *HUB])
def test_a_conversation_with_tools_is_the_same_on_every_pair(
    stage: Stage, caller: str, provider: str, form: str
) -> None:
    assert stage.play(sys.executable, caller, f"p-{provider}", form)["steps"] == EXPECTED


@pytest.fixture(scope="session")
def older_openai(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that has the second major version of OpenAI's library, as the lock file says."""
    root = Path(__file__).parents[2]
    folder = tmp_path_factory.mktemp("openai2")
    uv = shutil.which("uv") or str(root / ".ci" / "uv")
    done = subprocess.run(
        [uv, "sync", "--frozen", "--only-group", "openai2", "--no-default-groups"],
        cwd=root,
        env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(folder / "venv")},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    if done.returncode:
        pytest.skip(f"openai 2 could not be installed: {done.stderr[-300:]}")
    return str(folder / "venv" / "bin" / "python")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["whole", "stream"])
@_each([pair for pair in PASSED if pair[1] in ("openai_chat", "openai_responses")])
def test_it_is_the_same_with_the_library_before(
    stage: Stage, older_openai: str, caller: str, provider: str, form: str
) -> None:
    said = stage.play(older_openai, caller, f"p-{provider}", form)
    assert said["version"].startswith("2.")
    assert said["steps"] == EXPECTED
