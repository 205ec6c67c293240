"""Several processes on one socket: whichever dies, is replaced or drains, callers are served and the books agree."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.whole.gateway import Gateway, clean_environment
from tests.whole.processes import (
    END,
    Load,
    alive,
    asleep,
    at,
    books,
    children,
    paced,
    program,
    serving,
    serving_any,
    until,
    workers,
)
from tests.whole.upstream import DONE, HELLO, LAST, STREAM, Received, Step, Upstream, chunk, delta, whole

from komeet.ledger.port import State

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")


def test_a_worker_that_dies_is_replaced_and_the_others_answer_meanwhile(tmp_path: Path) -> None:
    with Upstream(paced) as upstream, Gateway(tmp_path, at(upstream)) as gateway:
        first = serving(gateway, 2)
        with Load(gateway, 20) as load:
            for _ in range(3):
                victim = serving(gateway, 2)[0]
                os.kill(victim, signal.SIGKILL)
                before = load.done
                until(lambda: load.done > before + 20)  # noqa: B023
                until(lambda: victim not in workers(gateway))  # noqa: B023
            assert len(set(serving(gateway, 2)) & set(first)) <= 1
        assert load.refused == []
        assert len(load.cut) <= 3 * 20
        assert "it was ended by SIGKILL; starting another in" in gateway.errors()
        books(gateway, upstream)


def test_while_the_only_worker_is_replaced_connections_wait(tmp_path: Path) -> None:
    with Upstream(paced) as upstream, Gateway(tmp_path, at(upstream, workers=1)) as gateway:
        (only,) = serving(gateway, 1)
        os.kill(only, signal.SIGKILL)
        until(lambda: not alive(only))
        assert gateway.chat().status == 200


@pytest.mark.parametrize("reconnect", [False, True], ids=["kept connections", "new connections"])
def test_a_reload_cuts_nobody_and_refuses_nobody(reconnect: bool, tmp_path: Path) -> None:
    with Upstream(paced) as upstream, Gateway(tmp_path, at(upstream)) as gateway:
        with Load(gateway, 20, reconnect=reconnect) as load:
            for turn in range(1, 4):
                before = serving_any(gateway)
                gateway.process.send_signal(signal.SIGHUP)
                until(lambda: gateway.errors().count("2 workers have the new configuration") == turn)  # noqa: B023
                until(lambda: not set(workers(gateway)) & set(before))  # noqa: B023
            assert len(workers(gateway)) == 2
        assert load.cut == []
        assert load.refused == []
        books(gateway, upstream)


def test_a_stream_outlives_the_worker_s_retirement(tmp_path: Path) -> None:
    go_on = threading.Event()

    def slow(_: Received) -> Iterator[Step]:
        yield STREAM + chunk(delta("Hello"))
        go_on.wait(60)
        yield END

    with Upstream(slow) as upstream, Gateway(tmp_path, at(upstream, workers=1, drain_seconds=1)) as gateway:
        (old,) = serving(gateway, 1)
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
            body = json.dumps({"model": "gpt-5.2", "stream": True, "messages": [{"role": "user", "content": "Hi"}]})
            connection.sendall(
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n"
                f"content-length: {len(body)}\r\n\r\n{body}".encode()
            )
            said = b""
            while b"Hello" not in said:
                said += connection.recv(65_536)
            gateway.process.send_signal(signal.SIGHUP)
            until(lambda: len(serving_any(gateway)) == 2)
            upstream.answer = paced
            assert gateway.chat().status == 200
            time.sleep(3.5)  # longer than `drain_seconds` and the farewell: neither ends it
            assert alive(old)
            go_on.set()
            while piece := connection.recv(65_536):
                said += piece
        assert said.endswith(LAST)
        assert DONE in said
        until(lambda: not alive(old))
        assert gateway.chat().status == 200


def test_a_change_of_the_file_is_noticed_and_a_mistake_in_it_changes_nothing(tmp_path: Path) -> None:
    with Upstream() as one, Upstream() as other, Gateway(tmp_path, at(one)) as gateway:
        file = tmp_path / "test.yaml"
        before = serving(gateway, 2)
        good = file.read_text()
        file.write_text(good + "\nserver: {wrokers: 3}\n")
        until(lambda: "the configuration stays as it was" in gateway.errors())
        assert workers(gateway) == before
        assert gateway.chat().status == 200
        # What only a worker's start shows: it is given up, and nobody has noticed.
        file.write_text(yaml.safe_dump(at(one, tls={"cert_file": "/nowhere", "key_file": "/nowhere"})))
        until(lambda: "the reload is given up; 0 workers have" in gateway.errors())
        assert workers(gateway) == before
        assert gateway.chat().status == 200
        file.write_text(yaml.safe_dump(at(other, workers=3)))
        until(lambda: "3 workers have the new configuration" in gateway.errors())
        until(lambda: not set(workers(gateway)) & set(before))
        assert len(workers(gateway)) == 3
        assert gateway.chat().status == 200
        assert (len(one.received), len(other.received)) == (2, 1)


def test_streams_end_within_the_time_for_it_and_all_is_settled(tmp_path: Path) -> None:
    ending = threading.Event()

    def endless(request: Received) -> Iterator[Step]:
        short = request.json["model"].endswith("short")
        yield STREAM
        while not (short and ending.is_set()):
            yield chunk(delta("word "))
            time.sleep(0.05)
        yield END

    with Upstream(endless) as upstream:
        began = time.monotonic()
        gateway = Gateway(tmp_path, at(upstream, drain_seconds=2)).start()
        serving(gateway, 2)
        slowness = time.monotonic() - began  # of the machine; settling loads tables, as a start does
        ends: list[bytes] = []

        def caller(model: str) -> None:
            answer = b""
            with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as connection:
                body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "Hi"}]})
                connection.sendall(
                    f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n"
                    f"content-length: {len(body)}\r\n\r\n{body}".encode()
                )
                while piece := connection.recv(65_536):
                    answer += piece
            ends.append(answer)

        names = [f"openai/{number}-{kind}" for number in range(20) for kind in ("short", "long")]
        callers = [threading.Thread(target=caller, args=(name,)) for name in names]
        for each in callers:
            each.start()
        until(lambda: len(upstream.received) == len(names))
        began = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        ending.set()
        assert gateway.process.wait(30) == 0
        assert time.monotonic() - began < 2 + max(4, 2 * slowness)
        for each in callers:
            each.join(30)
        gateway._close()  # pyright: ignore[reportPrivateUsage]
        assert sum(end.endswith(LAST) for end in ends) == 20
        assert {state for _, state in gateway.outcomes()} == {State.SETTLED}
        books(gateway, upstream)
        gateway.files.close()


@pytest.mark.parametrize("whom", ["the supervisor", "all of them"])
def test_nothing_is_left_of_a_server_that_is_killed_and_another_takes_over(whom: str, tmp_path: Path) -> None:
    with Upstream(paced) as upstream:
        gateway = Gateway(tmp_path, at(upstream)).start()
        for _ in range(3):
            there = serving(gateway, 2)
            with Load(gateway, 10):
                if whom == "all of them":
                    for pid in children(gateway.process.pid):
                        os.kill(pid, signal.SIGKILL)
                gateway.kill()
                until(lambda: not any(alive(pid) for pid in there), 5)  # noqa: B023
                gateway.log.close()
            (tmp_path / "test.log").unlink()
            gateway.start()
        gateway.stop()
        books(gateway, upstream)
        gateway.files.close()


def test_a_second_server_is_told_who_has_the_directory(tmp_path: Path) -> None:
    with Upstream() as upstream, Gateway(tmp_path, at(upstream)) as gateway:
        said = subprocess.run(
            [sys.executable, "-m", "komeet", "serve", "--port", "0"],
            env=clean_environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert said.returncode == 1
        assert f"Another Komeet server (process {gateway.process.pid}) is using {tmp_path}." in said.stderr
        assert gateway.chat().status == 200


def test_the_arguments_of_a_worker_show_nothing(tmp_path: Path) -> None:
    with Upstream() as upstream, Gateway(tmp_path, at(upstream, workers=1)) as gateway:
        (worker,) = serving(gateway, 1)
        words = Path(f"/proc/{worker}/cmdline").read_bytes().split(b"\0")
        shown = words[words.index(b"komeet.serving.worker") + 1 : -1]
        assert len(shown) == 3
        assert all(word.isdigit() for word in shown)


def test_a_low_limit_of_open_files_is_raised_to_what_the_system_allows(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with Upstream() as upstream, Gateway(tmp_path, at(upstream, workers=1)) as gateway:
            (worker,) = serving(gateway, 1)
            limits = Path(f"/proc/{worker}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (line,) = (line.split() for line in limits.splitlines() if line.startswith("Max open files"))
    assert int(line[3]) == min(hard, 1 << 20) > 256


def counted(gateway: Gateway) -> float:
    text = gateway.request("GET", "/metrics").body.decode()
    lines = [line for line in text.splitlines() if line.startswith('komeet_calls_total{model="gpt-5.2"')]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_metrics_are_the_sums_of_all_workers_and_of_those_that_were(tmp_path: Path) -> None:
    with Upstream() as upstream, Gateway(tmp_path, at(upstream)) as gateway:
        pair = serving(gateway, 2)
        for other in pair:
            with asleep(gateway, other):
                assert gateway.chat().status == 200
        assert counted(gateway) == 2
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: not set(workers(gateway)) & set(pair))
        assert gateway.chat().status == 200
        assert counted(gateway) == 3
        os.kill(workers(gateway)[0], signal.SIGKILL)
        serving(gateway, 2)
        assert counted(gateway) == 3
        assert b"komeet_ledger_failing 0.0" in gateway.request("GET", "/metrics").body


def test_a_budget_holds_over_all_workers(tmp_path: Path) -> None:
    def slow(_: Received) -> Iterator[Step]:
        time.sleep(0.2)
        yield from whole(HELLO)

    with Upstream(slow) as upstream, Gateway(tmp_path, at(upstream, workers=3)) as gateway:
        serving(gateway, 3)
        key = gateway.create_key("poor", "--budget", "0.01")
        statuses: list[int] = []

        def caller() -> None:
            statuses.append(gateway.chat(key, max_completion_tokens=100).status)

        callers = [threading.Thread(target=caller) for _ in range(30)]
        for each in callers:
            each.start()
        for each in callers:
            each.join(60)
        assert set(statuses) == {200, 402}
        assert statuses.count(200) == len(upstream.received)
        assert gateway.audit() == []


@pytest.mark.slow
def test_the_embedded_models_run_once_for_all_workers(tmp_path: Path) -> None:
    with Gateway(tmp_path, {"server": {"workers": 2}}) as gateway:
        pair = serving(gateway, 2)
        for other in pair:
            with asleep(gateway, other):
                assert gateway.chat(model="smollm2-135m", max_tokens=3).status == 200
        embedded = [pid for pid in children(gateway.process.pid) if program(pid) == "komeet.local.child"]
        assert len(embedded) == 1
        gateway.kill()
        until(lambda: not any(alive(pid) for pid in (*pair, *embedded)))
        gateway.start()
