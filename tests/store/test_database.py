"""A data directory: fresh, opened again, in use, too new, broken, and readable by its owner only."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from komeet.canonical.usage import Usage
from komeet.core.clock import ManualClock
from komeet.store.database import DataFiles, Store
from komeet.store.errors import StoreError
from komeet.store.keys import create_key, list_keys
from komeet.store.schema import LEDGER_LINE, REQUESTS_LINE, Line, alembic_config, bring_to_head
from komeet.store.sqlite import open_engine, writing
from komeet.store.tables import LEDGER, USAGE_COLUMNS


def _open_for_server(data_dir: Path) -> Store:
    return Store.open(data_dir, ManualClock())


LINES = pytest.mark.parametrize("line", [LEDGER_LINE, REQUESTS_LINE], ids=lambda line: line.name)


@LINES
def test_the_head_that_is_written_down_is_that_of_the_scripts(line: Line) -> None:
    assert ScriptDirectory.from_config(alembic_config(line)).get_heads() == [line.head]


@LINES
def test_the_migrations_make_the_tables(line: Line, tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "a.db")
    bring_to_head(engine, line)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), line.metadata) == []
    engine.dispose()


def test_each_token_class_has_a_column() -> None:
    assert len(USAGE_COLUMNS) == len(Usage.__struct_fields__)
    assert set(USAGE_COLUMNS) <= set(LEDGER.tables["outcomes"].columns.keys())


def test_a_directory_keeps_what_was_written_to_it(tmp_path: Path) -> None:
    directory = tmp_path / "not" / "there yet, 100% new"
    files = Store.open_for_cli(directory)
    key, _ = create_key(files.ledger, ManualClock(), name="app")
    files.close()
    store = Store.open(directory, ManualClock())
    assert store.recovered == 0
    assert list_keys(store.files.ledger) == [key]
    assert store.keys.known(key.digest) == key
    store.close()


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store.open(tmp_path / "data", ManualClock())
        create_key(store.files.ledger, ManualClock(), name="app")
        modes = {
            file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "data").rglob("*") if file.is_file()
        }
        store.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert {"komeet.db", "komeet.db-wal", "requests.db", "komeet.lock"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_second_server_is_told_which_process_has_the_directory(tmp_path: Path) -> None:
    store = Store.open(tmp_path, ManualClock())
    with pytest.raises(StoreError, match=f"process {os.getpid()}.*--data-dir"):
        Store.open(tmp_path, ManualClock())
    files = Store.open_for_cli(tmp_path)  # a command needs no lock
    create_key(files.ledger, ManualClock(), name="app")
    files.close()
    store.close()
    Store.open(tmp_path, ManualClock()).close()


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from komeet.store.lock import DirectoryLock\n"
        "lock = DirectoryLock(pathlib.Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    with child.stdin, child.stdout:
        assert child.stdout.readline() == b"locked\n"
        with pytest.raises(StoreError, match=f"process {child.pid}"):
            Store.open(tmp_path, ManualClock())
        child.kill()
        child.wait()
        Store.open(tmp_path, ManualClock()).close()


@pytest.mark.parametrize("file", ["komeet.db", "requests.db"])
@pytest.mark.parametrize("opened", [Store.open_for_cli, _open_for_server])
def test_a_newer_schema_is_refused_and_left_alone(
    tmp_path: Path, file: str, opened: Callable[[Path], DataFiles | Store]
) -> None:
    Store.open_for_cli(tmp_path).close()
    engine = open_engine(tmp_path / file)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from_the_future'"))
    with pytest.raises(StoreError, match=rf"newer version of Komeet.*{file}.*from_the_future"):
        opened(tmp_path)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "from_the_future"
    engine.dispose()


def test_a_command_does_not_change_the_schema_under_a_running_server(tmp_path: Path) -> None:
    store = Store.open(tmp_path, ManualClock())
    with writing(store.files.ledger) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    with pytest.raises(StoreError, match="Another Komeet server"):
        Store.open_for_cli(tmp_path)
    store.close()


@pytest.mark.parametrize("file", ["komeet.db", "requests.db"])
def test_what_is_not_a_database_is_refused(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_bytes(b"this is no database at all, " * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        Store.open(tmp_path, ManualClock())
    (tmp_path / file).unlink()
    Store.open(tmp_path, ManualClock()).close()


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreError, match=r"data directory .*data cannot be used"):
        Store.open_for_cli(tmp_path / "data")


def _python(code: str, *arguments: str) -> Sequence[str]:
    return [sys.executable, "-c", code, *arguments]


def test_alembic_is_imported_only_where_there_is_something_to_migrate(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from komeet.store.database import Store\n"
        "Store.open_for_cli(pathlib.Path(sys.argv[1])).close(); print('alembic' in sys.modules)"
    )
    runs = [subprocess.run(_python(code, str(tmp_path)), capture_output=True, check=True).stdout for _ in range(2)]
    assert runs == [b"True\n", b"False\n"]


@pytest.mark.slow
def test_processes_that_open_a_fresh_directory_at_once_take_turns(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from komeet.core.clock import SystemClock\n"
        "from komeet.store.database import Store; from komeet.store.keys import create_key\n"
        "import alembic.command; print('ready', flush=True); sys.stdin.readline()\n"
        "files = Store.open_for_cli(pathlib.Path(sys.argv[1]))\n"
        "create_key(files.ledger, SystemClock(), name='app'); files.close()"
    )
    children = [
        subprocess.Popen(_python(code, str(tmp_path / "data")), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
    for child in children:
        child.communicate(b"go\n")
    assert [child.returncode for child in children] == [0] * 4
    files = Store.open_for_cli(tmp_path / "data")
    assert len(list_keys(files.ledger)) == 4
    files.close()


def test_commits_wait_for_the_disk_unless_told_otherwise(tmp_path: Path) -> None:
    found = {}
    for durability in ("power_loss", "crash"):
        engine = open_engine(tmp_path / "a.db", durability)
        with engine.connect() as connection:
            pragmas = ("synchronous", "journal_mode", "foreign_keys")
            found[durability] = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
        engine.dispose()
    assert found == {"power_loss": [2, "wal", 1], "crash": [1, "wal", 1]}
