"""The image: all in it is pinned, it is not root, its root may be read only, and only its build needs a network."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from tests.docs.test_examples import mistakes
from tests.packaging.containerfile import Containerfile, Stage, read

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging"
_PINNED = re.compile(r"^[a-z0-9.-]+/[a-z0-9/_-]+:[\w.-]+@sha256:[0-9a-f]{64}$")


@pytest.fixture(scope="module")
def image() -> Containerfile:
    return read(FOLDER / "Containerfile")


@pytest.fixture
def last(image: Containerfile) -> Stage:
    return image.stages[-1]


def _sources(stage: Stage) -> list[str]:
    """What a stage copies from the repository."""
    return [
        source
        for copy in stage.all("COPY")
        if "--from=" not in copy.text
        for source in [word for word in copy.text.split() if not word.startswith("--")][:-1]
    ]


def test_every_base_is_pinned_by_its_digest_and_each_stage_has_the_same(image: Containerfile) -> None:
    assert len(image.stages) > 1
    assert {stage.base for stage in image.stages} == {image.arguments["BASE"]}
    assert _PINNED.match(image.arguments["BASE"])


def test_it_runs_on_the_python_that_the_tests_run_on(image: Containerfile) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    (version,) = re.findall(r'^pythonVersion = "([\d.]+)"$', text, re.MULTILINE)
    assert f"/python:{version}." in image.arguments["BASE"]


def test_packages_come_from_the_lock_by_the_uv_that_is_pinned(image: Containerfile) -> None:
    build, last = image.stages
    steps = [run.text for run in build.all("RUN")]
    assert all(step.startswith(".ci/uv sync --frozen ") for step in steps), steps
    assert "--offline" in steps[-1], "after the packages nothing is fetched"
    assert {".ci/uv", ".ci/uv.txt", "uv.lock", "pyproject.toml"} <= set(_sources(build))
    assert build.environment["UV_PYTHON_DOWNLOADS"] == "never"
    assert not any(re.search(r"\b(pip|uv|curl|wget)\b", run.text) for run in last.all("RUN"))
    assert not [each for each in image.instructions if each.name == "ADD"]


def test_a_system_package_leaves_no_lists_behind(image: Containerfile) -> None:
    for run in (each.text for each in image.instructions if each.name == "RUN" and "apt-get" in each.text):
        assert run.index("apt-get update") < run.index("apt-get install -y --no-install-recommends ")
        assert "rm -rf /var/lib/apt/lists/*" in run
        assert re.findall(r"--no-install-recommends ([a-z0-9 ]+?) &&", run) == ["libgomp1"], "say why there are more"


def test_nothing_but_the_program_is_copied_and_the_build_is_shown_no_more(image: Containerfile) -> None:
    sources = {source for stage in image.stages for source in _sources(stage)}
    assert all((ROOT / source).exists() for source in sources)
    lines = (FOLDER / "Containerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == sources
    assert any(fnmatch("src/komeet/__pycache__", rule.replace("**/", "*")) for rule in rules[1:])
    (copied,) = [copy.text for copy in image.stages[-1].all("COPY")]
    assert copied == "--from=build /opt/komeet /opt/komeet"


def test_it_is_not_root_and_owns_nothing_but_its_data(last: Stage) -> None:
    user = last.one("USER").text
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    names = [instruction.name for instruction in last.instructions]
    assert "RUN" not in names[names.index("USER") :]
    place = last.environment["KOMEET_DATA_DIR"]
    number, group = user.split(":")
    assert f"install -d -m 0700 -o {number} -g {group} {place}" in [run.text for run in last.all("RUN")]
    assert not any("chown" in instruction.text for instruction in last.instructions)


def test_all_that_it_writes_is_in_the_volume(last: Stage) -> None:
    place = last.environment["KOMEET_DATA_DIR"]
    assert last.one("VOLUME").array == [place] == [last.one("WORKDIR").text] == [last.environment["HOME"]]
    assert last.environment["PYTHONDONTWRITEBYTECODE"] == "1"


def test_what_it_runs_exists_and_no_shell_stands_between(last: Stage) -> None:
    program, *none = last.one("ENTRYPOINT").array
    command = last.one("CMD").array
    health, *check = last.one("HEALTHCHECK").array
    assert (program, none, health) == ("komeet", [], "komeet")
    assert list(mistakes(command)) == list(mistakes(check)) == []
    assert command == ["serve", "--host", "0.0.0.0"]
    assert check == ["health"]
    assert last.one("STOPSIGNAL").text == "SIGTERM"
    assert last.one("EXPOSE").text == "4000"


def test_no_secret_is_built_in(image: Containerfile) -> None:
    given = [*image.arguments, *(name for stage in image.stages for name in stage.environment)]
    assert not [name for name in given if re.search("KEY|TOKEN|SECRET|PASSWORD", name)]
    assert not [each for each in image.instructions if each.name == "ARG"]
