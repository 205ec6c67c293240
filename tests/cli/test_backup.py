"""`komeet backup` and `komeet restore`, by hand and beside a server that answers calls."""

import resource
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import Komeet
from tests.whole.gateway import Gateway, clean_environment, towards
from tests.whole.gateway import komeet as command
from tests.whole.upstream import Upstream

from komeet.core.clock import ManualClock
from komeet.ledger.port import State
from komeet.store.database import Store


def test_the_file_is_named_alone_on_standard_output(komeet: Komeet, tmp_path: Path) -> None:
    komeet.key("--name", "mine")
    said = komeet("backup", str(tmp_path))
    assert said.status == 0
    archive = Path(said.out.strip())
    assert said.out == f"{archive}\n"
    assert archive.parent == tmp_path
    assert "komeet.db (" in said.err
    assert "requests.db (" in said.err
    assert "checked" in said.err
    restored = komeet("restore", str(archive), "--data-dir", str(tmp_path / "new"))
    assert restored.status == 0
    assert restored.out.startswith(f"{tmp_path / 'new'}: komeet.db and requests.db as of 20")
    assert "mine" in komeet("key", "list", "--data-dir", str(tmp_path / "new")).out


def test_what_is_on_postgresql_is_left_to_its_own_tools(komeet: Komeet, tmp_path: Path) -> None:
    config = tmp_path / "komeet.yaml"
    config.write_text("ledger: {database: 'postgresql://me@db.example/komeet'}\nrequest_log: {database: local}\n")
    komeet.key()  # which makes a request log too
    said = komeet("backup", str(tmp_path / "a"), "--config", str(config))
    assert (said.status, said.out) == (0, f"{tmp_path / 'a'}\n")
    assert "pg_dump" in said.err
    assert "requests.db (" in said.err
    assert "komeet.db" not in said.err
    assert "requests.db as of" in komeet("restore", str(tmp_path / "a"), "--data-dir", str(tmp_path / "new")).out
    config.write_text("ledger: {database: 'postgresql://me@db.example/komeet'}\n")
    for arguments, said_so in ((("backup", "b"), "pg_dump"), (("restore", "a"), "pg_restore")):
        refused = komeet(*arguments, "--config", str(config))
        assert refused.status == 1
        assert said_so in refused.err
    assert not (tmp_path / "b").exists()


def test_the_request_log_can_be_left_out(komeet: Komeet, tmp_path: Path) -> None:
    komeet.key()
    said = komeet("backup", str(tmp_path / "a"), "--without-requests")
    assert (said.status, said.out) == (0, f"{tmp_path / 'a'}\n")
    assert "requests.db" not in said.err
    assert "requests.db" not in komeet("restore", "a", "--data-dir", "new").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("backup", "a"), "There is no data of Komeet in "),
        (("restore", "a"), "a cannot be restored into "),
        (("restore", "text"), "text is not a whole backup of Komeet: Not a gzipped file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    komeet: Komeet, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "text").write_text("no archive")
    said = komeet(*arguments)
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"komeet: {message}")
    assert said.err.count("\n") == 1
    assert not komeet.data_dir.exists()


def test_restore_needs_the_directory_to_itself_and_force_where_there_is_data(komeet: Komeet) -> None:
    komeet.key("--name", "before")
    assert komeet("backup", "a").status == 0
    komeet.key("--name", "after")
    refused = komeet("restore", "a")
    assert (refused.status, refused.out) == (1, "")
    assert "--force replaces it" in refused.err
    with closing(Store.open(komeet.data_dir, ManualClock())):
        assert "Another Komeet server" in komeet("restore", "a", "--force").err
    assert "after" in komeet("key", "list").out
    assert komeet("restore", "a", "--force").status == 0
    listed = komeet("key", "list").out
    assert "before" in listed
    assert "after" not in listed


def _with_a_full_disk(data_dir: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that cannot write a file of more than a few pages."""
    return subprocess.run(
        [sys.executable, "-m", "komeet", *arguments],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        env=clean_environment(data_dir),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_full_disk_is_said_in_one_line_and_leaves_everything_as_it_was(komeet: Komeet, tmp_path: Path) -> None:
    komeet.key("--name", "before")
    out = tmp_path / "out"
    out.mkdir()
    assert komeet("backup", "a").status == 0
    komeet.key("--name", "after")
    for arguments in (("backup", str(out)), ("restore", str(tmp_path / "a"), "--force")):
        said = _with_a_full_disk(komeet.data_dir, *arguments)
        assert (said.returncode, said.stdout) == (1, "")
        assert said.stderr.startswith("komeet: ")
        assert said.stderr.count("\n") == 1
    assert list(out.iterdir()) == []
    assert not [path for path in komeet.data_dir.iterdir() if path.is_dir()]
    assert "after" in komeet("key", "list").out


def _call(gateway: Gateway, ended: threading.Event, done: list[str]) -> None:
    while not ended.is_set():
        answer = gateway.chat()
        assert answer.status == 200, answer.body
        done.append(answer.headers["x-request-id"])


@pytest.mark.slow
def test_beside_a_server_under_load_the_books_are_right_and_keys_go_on_working(tmp_path: Path) -> None:
    with Upstream() as upstream:
        gateway = Gateway(tmp_path / "data", towards(upstream.url)).start()
        ended = threading.Event()
        done: list[str] = []
        callers = [threading.Thread(target=_call, args=(gateway, ended, done)) for _ in range(8)]
        for caller in callers:
            caller.start()
        try:
            for number in range(2):
                said = command("backup", str(tmp_path / f"{number}.tar.gz"), data_dir=gateway.data_dir)
                assert said.returncode == 0, said.stderr
        finally:
            ended.set()
            for caller in callers:
                caller.join()
            gateway.stop()
        calls = len(upstream.received)
        assert len(done) == calls
        counts: list[int] = []
        for number in range(2):
            place = tmp_path / f"restored-{number}"
            said = command("restore", str(tmp_path / f"{number}.tar.gz"), data_dir=place)
            assert said.returncode == 0, said.stderr
            with Gateway(place, towards(upstream.url), key=gateway.key) as restored:
                assert restored.audit() == []
                counts.append(restored.holds())
                assert {state for _, state in restored.outcomes()} <= {State.SETTLED, State.ORPHAN}
                assert restored.chat().status == 200
        assert 0 < counts[0] < counts[1] <= calls
