"""The rooms and the directions between them hold, and the contracts that say so would notice if they did not."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest


def _lint(folder: Path, source: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or "lint-imports"
    return subprocess.run(
        [program, "--no-logo", "--no-cache", "--config", str(folder / "pyproject.toml")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_import_goes_the_right_way(root: Path) -> None:
    done = _lint(root, root / "src")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "noticed"),
    [
        pytest.param("core/money.py", "import komeet.pipeline", "komeet.core.money -> komeet.pipeline", id="upwards"),
        pytest.param("net/__init__.py", "import komeet.store", "komeet.net -> komeet.store", id="sideways"),
        pytest.param(
            "wire/openai_chat/__init__.py", "import asyncio", "openai_chat -> asyncio", id="a loop in the core"
        ),
        pytest.param("routing/__init__.py", "import sqlalchemy", "routing -> sqlalchemy", id="a database in the core"),
        pytest.param("api/__init__.py", "import komeet.net", "komeet.api -> komeet.net", id="I/O in a surface"),
        pytest.param("attic/__init__.py", "", "- komeet.attic", id="a room without a place"),
    ],
)
def test_a_wrong_import_is_noticed(root: Path, tmp_path: Path, file: str, line: str, noticed: str) -> None:
    shutil.copytree(root / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    broken = tmp_path / "src" / "komeet" / file
    broken.parent.mkdir(exist_ok=True)
    with broken.open("a") as module:
        module.write(f"\n{line}\n")
    done = _lint(tmp_path, tmp_path / "src")
    assert done.returncode != 0
    assert noticed in done.stdout


def test_every_room_below_the_line_is_held_to_purity(root: Path) -> None:
    contracts: list[dict[str, Any]] = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    layers: list[str] = next(each["layers"] for each in contracts if each["type"] == "layers")
    line = next(index for index, layer in enumerate(layers) if "providers" in layer)
    below = {room.strip(" ()") for layer in layers[line:] for room in layer.split("|")}
    there = {room for room in below if (root / "src" / "komeet" / room).is_dir()}
    pure = next(each["source_modules"] for each in contracts if each["name"].startswith("The core is pure"))
    assert {f"komeet.{room}" for room in there} == set(pure)


def test_every_module_says_what_it_is_for(trees: Mapping[str, ast.Module]) -> None:
    silent = [path for path, tree in trees.items() if not path.startswith("tests/") and not ast.get_docstring(tree)]
    assert not silent


def test_every_folder_of_the_product_is_a_package(root: Path) -> None:
    folders = {file.parent for file in (root / "src" / "komeet").rglob("*.py")}
    bare = [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()]
    assert not [folder for folder in bare if folder.parent.name != "versions"]  # Alembic finds migrations by their path
