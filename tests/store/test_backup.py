"""Backups: consistent while a server writes, checked, restored whole or not at all; what is wrong is refused."""

import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from komeet.canonical.record import CallRecord
from komeet.core.clock import ManualClock
from komeet.store.audit import audit, read_books
from komeet.store.backup import back_up, check
from komeet.store.database import Store
from komeet.store.engine import LEDGER_FILE, REQUESTS_FILE
from komeet.store.errors import StoreError
from komeet.store.keys import create_key, list_keys
from komeet.store.lock import DirectoryLock
from komeet.store.restore import restore
from komeet.store.schema import LEDGER_LINE, REQUESTS_LINE
from komeet.store.sqlite import open_engine, writing
from komeet.store.tables import requests

CANARY = b"canary-prompt-5f1c"


def _names(data_dir: Path) -> set[str]:
    """The names of the keys there: what tells one state from another."""
    with closing(Store.open_for_cli(data_dir)) as files:
        return {key.name for key in list_keys(files.ledger)}


def _add_key(data_dir: Path, name: str) -> None:
    with closing(Store.open_for_cli(data_dir)) as files:
        create_key(files.ledger, ManualClock(), name=name)


def _back_up(data_dir: Path, target: Path, *, requests: bool = True) -> Path:
    wanted = (LEDGER_FILE, REQUESTS_FILE) if requests else (LEDGER_FILE,)
    return back_up(data_dir, target, ManualClock(), version="1.2.3", wanted=wanted)[0]


def _files(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir() if file.is_file()}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with a key, and a call whose prompt is kept."""
    place = tmp_path / "data"
    store = Store.open(place, ManualClock())
    create_key(store.files.ledger, ManualClock(), name="first")
    store.requests.ended(
        CallRecord(request_id="req_1", at=1, surface="x", status=200, key_id="key_1", request_body=CANARY)
    )
    store.close()
    return place


@pytest.fixture
def archive(data_dir: Path, tmp_path: Path) -> Path:
    return _back_up(data_dir, tmp_path / "backup.tar.gz")


def test_what_is_restored_is_what_was_backed_up(data_dir: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        archive, manifest = back_up(data_dir, tmp_path, ManualClock(), version="1.2.3")
        restored = tmp_path / "not" / "there yet, 100%"
        assert restore(archive, restored) == check(archive) == manifest
    finally:
        os.umask(before)
    assert archive == tmp_path / "komeet-20251122T082640Z.tar.gz"
    assert (manifest.komeet, manifest.at) == ("1.2.3", "2025-11-22T08:26:40Z")
    assert [(entry.name, entry.schema) for entry in manifest.files] == [
        ("komeet.db", LEDGER_LINE.head),
        ("requests.db", REQUESTS_LINE.head),
    ]
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (archive, *restored.iterdir())}
    assert set(modes.values()) == {0o600}
    assert set(modes) == {archive.name, "komeet.db", "requests.db", "komeet.lock"}
    assert stat.S_IMODE(restored.stat().st_mode) == 0o700
    assert {path.name for path in tmp_path.iterdir()} == {"data", "not", archive.name}
    assert _names(restored) == {"first"}
    with closing(Store.open_for_cli(restored)) as files, files.requests.connect() as connection:
        assert connection.execute(select(requests.c.request_body)).scalars().all() == [CANARY]


_WRITER = """
import asyncio, os, sys
from pathlib import Path
from komeet.canonical.record import CallRecord
from komeet.core.clock import SystemClock
from komeet.core.errors import Unavailable
from komeet.core.money import Nano
from komeet.ledger.port import Hold, Outcome, State, Subject
from komeet.store.database import Store
from komeet.store.keys import create_key

clock = SystemClock()
store = Store.open(Path(sys.argv[1]), clock, durability="crash")
key, _ = create_key(store.files.ledger, clock, name="app")

async def call(number):
    attempt = f"att_{number:06d}"
    hold = Hold(
        attempt_id=attempt, request_id=attempt, key_id=key.id, accounts=(key.account,), provider="openai", model="m",
        model_asked="m", amount=Nano(10), held_at=clock.unix_ms(),
    )
    while True:
        try:
            await store.ledger.hold(hold, Subject(key.id))
            break
        except Unavailable:  # as much as the database cannot keep up with
            await asyncio.sleep(0.05)
    os.write(1, f"{attempt}\\n".encode())
    state = (State.SETTLED, State.VOIDED, State.ORPHAN)[number % 3]
    store.ledger.end(Outcome(attempt_id=attempt, state=state, cost=Nano(7), ended_at=clock.unix_ms()))
    store.requests.ended(CallRecord(
        request_id=attempt, at=1, surface="x", status=200, key_id=key.id, attempt_id=attempt, request_body=b"x" * 500,
    ))

async def worker(first):
    for number in range(first, 1_000_000, 20):
        await call(number)
        await asyncio.sleep(0.01)

async def main():
    await asyncio.gather(*map(worker, range(20)))

asyncio.run(main())
"""


@pytest.mark.slow
def test_under_load_each_backup_is_of_one_moment_and_has_all_that_came_before_it(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(data_dir)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    acknowledged: list[str] = []
    arrived = threading.Condition()

    def read() -> None:
        assert writer.stdout is not None
        for line in writer.stdout:
            with arrived:
                acknowledged.append(line.decode().strip())
                arrived.notify_all()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        backups: list[tuple[Path, set[str], int]] = []
        for number in range(3):
            with arrived:
                seen = len(acknowledged)
                assert arrived.wait_for(lambda least=seen + 300: len(acknowledged) >= least, 60)
                before = set(acknowledged)
            archive = _back_up(data_dir, tmp_path / f"{number}.tar.gz")
            backups.append((archive, before, len(acknowledged)))
        assert backups[-1][2] > len(backups[-1][1]), "nothing was written during the backup"
    finally:
        writer.kill()
        writer.wait()
        reader.join()
        writer.stdout.close()
    for archive, before, _ in backups:
        restored = tmp_path / archive.name.partition(".")[0]
        restore(archive, restored)
        with closing(Store.open_for_cli(restored)) as files:
            assert audit(files.ledger) == []
            with files.ledger.connect() as connection, connection.begin():
                held = {hold.attempt_id for hold in read_books(connection).holds}
            with files.requests.connect() as connection:
                logged = set(connection.execute(select(requests.c.attempt_id)).scalars())
        assert before <= held
        assert logged <= held
        with closing(Store.open(restored, ManualClock())) as store:
            assert audit(store.files.ledger) == []


def test_a_backup_changes_nothing_even_after_a_crash(tmp_path: Path, data_dir: Path) -> None:
    code = (
        "import os, sys, pathlib; from komeet.core.clock import ManualClock; from komeet.store.database import Store\n"
        "from komeet.store.keys import create_key\n"
        "store = Store.open(pathlib.Path(sys.argv[1]), ManualClock())\n"
        "create_key(store.files.ledger, ManualClock(), name='second'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(data_dir)], check=False)
    before = _files(data_dir)
    assert "komeet.db-wal" in before
    archive = _back_up(data_dir, tmp_path / "backup.tar.gz")
    after = _files(data_dir)
    del before["komeet.db-shm"], after["komeet.db-shm"]  # an index of the log, made anew by each process
    assert {name: after[name] for name in before} == before
    restore(archive, tmp_path / "restored")
    assert _names(tmp_path / "restored") == {"first", "second"}


def test_a_schema_that_is_older_is_backed_up_as_it_is(data_dir: Path, tmp_path: Path) -> None:
    _set_revision(data_dir / "komeet.db", "older")
    _, manifest = back_up(data_dir, tmp_path / "a", ManualClock(), version="1.2.3")
    assert manifest.files[0].schema == "older"


def test_the_request_log_can_be_left_out_and_is_then_left_alone(data_dir: Path, tmp_path: Path) -> None:
    archive = _back_up(data_dir, tmp_path / "a.tar.gz", requests=False)
    assert CANARY not in gzip.decompress(archive.read_bytes())
    _add_key(data_dir, "second")
    restore(archive, data_dir, force=True)
    assert _names(data_dir) == {"first"}
    with closing(Store.open_for_cli(data_dir)) as files, files.requests.connect() as connection:
        assert connection.execute(select(requests.c.request_body)).scalars().all() == [CANARY]
    restore(archive, tmp_path / "new")
    assert _names(tmp_path / "new") == {"first"}


def test_a_directory_whose_request_log_was_deleted_is_backed_up(data_dir: Path, tmp_path: Path) -> None:
    (data_dir / "requests.db").unlink()
    _, manifest = back_up(data_dir, tmp_path / "a", ManualClock(), version="1.2.3")
    assert [entry.name for entry in manifest.files] == ["komeet.db"]


def test_nothing_is_backed_up_where_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no data of Komeet"):
        _back_up(tmp_path, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_replaced_by_a_backup(data_dir: Path, tmp_path: Path, archive: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(StoreError, match="exists already"):
        _back_up(data_dir, archive)
    assert archive.read_bytes() == before


def test_a_database_that_is_damaged_is_not_backed_up(data_dir: Path, tmp_path: Path) -> None:
    with (data_dir / "komeet.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    with pytest.raises(StoreError, match=r"komeet\.db .*(damaged|malformed)"):
        _back_up(data_dir, tmp_path / "a")
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_what_cannot_be_written_leaves_nothing(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("komeet.store.backup.write", full)
    with pytest.raises(StoreError, match=r"a cannot be written: No space left on device\.$"):
        _back_up(data_dir, tmp_path / "a")
    with pytest.raises(StoreError, match="No such file or directory"):
        _back_up(data_dir, tmp_path / "nowhere" / "a")
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_an_archive_that_was_written_wrongly_gets_no_name(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a disk that loses what it is given: it is read again before it is called a backup."""

    def lose(path: Path) -> None:
        os.truncate(path, path.stat().st_size // 2)

    monkeypatch.setattr("komeet.store.backup.sync", lose)
    with pytest.raises(StoreError, match="not a whole backup"):
        _back_up(data_dir, tmp_path / "a")
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_what_a_killed_backup_left_is_removed_by_the_next_and_what_another_works_on_is_not(
    data_dir: Path, tmp_path: Path
) -> None:
    code = (
        "import os, sys, pathlib; from komeet.store.staging import staging\n"
        "with staging(pathlib.Path(sys.argv[1])) as part:\n"
        "    (part / 'half').touch(); print(part, flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        part = Path(other.stdout.readline().strip())
        _back_up(data_dir, tmp_path / "a")
        assert (part / "half").exists()
        other.kill()
        other.wait()
        assert (part / "half").exists()
        _back_up(data_dir, tmp_path / "b")
        assert not part.exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_directory_in_use_is_not_restored_into(data_dir: Path, archive: Path, force: bool) -> None:
    _add_key(data_dir, "second")
    store = Store.open(data_dir, ManualClock())
    with pytest.raises(StoreError, match=f"Another Komeet server .process {os.getpid()}. is using"):
        restore(archive, data_dir, force=force)
    store.close()
    assert _names(data_dir) == {"first", "second"}


def test_a_command_that_has_a_database_open_is_waited_for(data_dir: Path, archive: Path) -> None:
    _add_key(data_dir, "second")
    files = Store.open_for_cli(data_dir)
    assert list_keys(files.ledger)
    with pytest.raises(StoreError, match=r"Another process has .*komeet\.db open"):
        restore(archive, data_dir, force=True)
    assert len(list_keys(files.ledger)) == 2
    files.close()
    restore(archive, data_dir, force=True)
    assert _names(data_dir) == {"first"}


def test_data_is_replaced_only_by_force(data_dir: Path, archive: Path) -> None:
    _add_key(data_dir, "second")
    before = _files(data_dir)
    with pytest.raises(StoreError, match=r"holds komeet\.db and requests\.db already.*--force"):
        restore(archive, data_dir)
    assert _files(data_dir) == before
    restore(archive, data_dir, force=True)
    assert _names(data_dir) == {"first"}


def test_a_damaged_database_is_replaced_and_its_log_is_not_read_into_the_new_one(data_dir: Path, archive: Path) -> None:
    with closing(sqlite3.connect(data_dir / "komeet.db")) as other:
        other.execute("UPDATE keys SET name = 'other'")
        other.commit()
        left = {suffix: (data_dir / f"komeet.db{suffix}").read_bytes() for suffix in ("-wal", "-shm")}
    (data_dir / "komeet.db").write_bytes(b"this is no database at all, " * 1000)
    for suffix, content in left.items():
        (data_dir / f"komeet.db{suffix}").write_bytes(content)
    restore(archive, data_dir, force=True)
    assert _names(data_dir) == {"first"}


def _set_revision(database: Path, revision: str) -> None:
    engine = open_engine(database)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    engine.dispose()


@pytest.mark.parametrize("file", ["komeet.db", "requests.db"])
def test_a_newer_schema_is_refused_before_anything_is_made(data_dir: Path, tmp_path: Path, file: str) -> None:
    _set_revision(data_dir / file, "from_the_future")
    archive = _back_up(data_dir, tmp_path / "a")
    with pytest.raises(StoreError, match=rf"newer version of Komeet \(1\.2\.3; its {file} has schema from_the_future"):
        restore(archive, tmp_path / "new")
    assert not (tmp_path / "new").exists()


Change = Callable[[dict[str, Any], dict[str, bytes]], object]


def _changed(archive: Path, change: Change) -> Path:
    """An archive like another, made by somebody who means it."""
    with tarfile.open(archive) as old:
        files = {member.name: (old.extractfile(member) or io.BytesIO()).read() for member in old}
    manifest: dict[str, Any] = json.loads(files.pop("manifest.json"))
    change(manifest, files)
    path = archive.with_name("changed.tar.gz")
    with tarfile.open(path, "w:gz") as new:
        for name, content in {"manifest.json": json.dumps(manifest).encode(), **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return path


def _flip(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
    files["komeet.db"] = files["komeet.db"][:5000] + b"\x00\x01" + files["komeet.db"][5002:]


def _no_database(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
    files["komeet.db"] = b"SQLite format 3\0" + b"\xff" * (len(files["komeet.db"]) - 16)
    manifest["files"][0]["sha256"] = hashlib.sha256(files["komeet.db"]).hexdigest()


def _elsewhere(manifest: dict[str, Any], files: dict[str, bytes]) -> None:
    files["../escaped.db"] = files.pop("requests.db")
    manifest["files"][1]["name"] = "../escaped.db"


WRONG: Mapping[str, tuple[Change, str]] = {
    "a changed byte": (_flip, "damaged"),
    "a good digest of nonsense": (_no_database, "damaged"),
    "a path that leads out": (_elsewhere, "does not name the databases"),
    "a file too many": (lambda _, files: files.update(extra=b"x"), "holds more"),
    "a file too few": (lambda _, files: files.pop("requests.db"), r"requests\.db is missing"),
    "another size": (lambda manifest, _: manifest["files"][0].update(bytes=1), "another size"),
    "another file than it names": (lambda manifest, _: manifest["files"].pop(0), r"requests\.db is missing"),
    "no database": (lambda manifest, _: manifest["files"].clear(), "does not name the databases"),
    "one twice": (lambda manifest, _: manifest["files"].append(manifest["files"][0]), "does not name the databases"),
    "another schema than it says": (
        lambda manifest, _: manifest["files"][0].update(schema="requests_0001"),
        "newer version|its manifest says otherwise",
    ),
    "a newer format": (lambda manifest, _: manifest.update(format=2), r"Komeet 1\.2\.3, in a format"),
    "a manifest that is none": (lambda manifest, _: manifest.pop("at"), "manifest cannot be read"),
}


@pytest.mark.parametrize("how", WRONG)
def test_an_archive_that_is_wrong_changes_nothing(data_dir: Path, archive: Path, tmp_path: Path, how: str) -> None:
    change, message = WRONG[how]
    wrong = _changed(archive, change)
    before, around = _files(data_dir), set(tmp_path.iterdir())
    with pytest.raises(StoreError, match=message):
        restore(wrong, data_dir, force=True)
    assert (_files(data_dir), set(tmp_path.iterdir())) == (before, around)
    assert {path.name for path in data_dir.iterdir() if path.is_dir()} <= {"journal"}


def test_an_archive_cut_or_changed_anywhere_is_refused(data_dir: Path, archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    before = _files(data_dir)
    wrong = tmp_path / "wrong"
    for at in range(0, len(whole) - 8, max(1, len(whole) // 60)):
        for content in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]):
            wrong.write_bytes(content)
            if _readable(content) == _readable(whole):
                continue  # a byte of the header that means nothing
            with pytest.raises(StoreError, match="wrong"):
                restore(wrong, data_dir, force=True)
            assert _files(data_dir) == before, at


def _readable(content: bytes) -> bytes | None:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, ValueError):
        return None
    except Exception as error:
        if type(error).__name__ == "error":  # zlib's
            return None
        raise


def test_a_link_in_the_archive_is_not_followed(data_dir: Path, archive: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    path = tmp_path / "link.tar.gz"
    with tarfile.open(archive) as old, tarfile.open(path, "w:gz") as new:
        new.addfile(old.getmember("manifest.json"), old.extractfile("manifest.json"))
        member = tarfile.TarInfo("komeet.db")
        member.type, member.linkname = tarfile.SYMTYPE, str(secret)
        new.addfile(member)
    with pytest.raises(StoreError, match=r"komeet\.db is missing, or not in its place"):
        restore(path, data_dir, force=True)


@pytest.mark.parametrize("opened", ["server", "command", "restore"])
def test_a_restore_that_was_decided_is_finished_by_whoever_comes_next(
    data_dir: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: str
) -> None:
    _add_key(data_dir, "second")
    with monkeypatch.context() as patch:
        patch.setattr("komeet.store.restore.finish", print)
        restore(archive, data_dir, force=True)
    assert (data_dir / "restoring" / "komeet.db").exists()
    with pytest.raises(StoreError, match="was interrupted"):
        _back_up(data_dir, tmp_path / "later")
    lock = DirectoryLock(data_dir)
    with pytest.raises(StoreError, match="Another Komeet server"):  # it is under way, for all that one knows
        _names(data_dir)
    lock.close()
    match opened:
        case "server":
            Store.open(data_dir, ManualClock()).close()
        case "command":
            _names(data_dir)
        case _:
            shutil.copy(archive, tmp_path / "copy")
            with pytest.raises(StoreError, match="--force"):
                restore(tmp_path / "copy", data_dir)
    assert not (data_dir / "restoring").exists()
    assert _names(data_dir) == {"first"}
