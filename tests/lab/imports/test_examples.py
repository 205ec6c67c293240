"""The example configurations that LiteLLM ships: each is imported, loads, and says what it said before."""

import re
from pathlib import Path

import pytest
from tests.lab.imports.environment import environment_of
from tests.lab.imports.golden import GOLDEN, Owners, examples, imported, report

from komeet.config.load import parse
from komeet.config.own import own_prices
from komeet.lab.imports.source import read_yaml


@pytest.fixture(scope="module")
def owners() -> Owners:
    return Owners()


def test_there_are_examples_and_each_golden_file_has_one() -> None:
    assert len(examples()) >= 8
    assert [path.name for path in examples()] == [path.name for path in sorted(GOLDEN.glob("*.yaml"))]


@pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
def test_an_example_says_what_it_said_before(path: Path, owners: Owners) -> None:
    said = report(path, imported(path, owners))
    assert said == (GOLDEN / path.name).read_text("utf-8"), "`python -m tests.lab.imports.golden` writes it anew"


@pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
def test_what_an_example_comes_to_loads(path: Path, owners: Owners) -> None:
    found = imported(path, owners)
    config = parse(report(path, found), environment_of(found))
    own_prices(config)
    assert {route.name for route in config.routes} == {route["name"] for route in found.config.get("routes", [])}


@pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
def test_every_leaf_of_an_example_is_under_a_finding_or_is_understood(path: Path, owners: Owners) -> None:
    found = imported(path, owners)
    paths = [each.path for each in found.findings]
    understood = re.compile(
        r"model_list\[\d+\]\.(model_name|litellm_params\.(model|api_base|api_key|api_version|custom_llm_provider"
        r"|rpm|tpm|weight|order|timeout|organization|aws_region_name|vertex_(project|location|credentials)"
        r"|\w*cost\w*))$"
    )
    for leaf in _leaves(read_yaml(path.read_text("utf-8")), ""):
        assert understood.match(leaf) or any(leaf.startswith(each) for each in paths), leaf


def _leaves(value: object, path: str) -> list[str]:
    if isinstance(value, dict) and value:
        return [leaf for key, each in value.items() for leaf in _leaves(each, f"{path}.{key}".lstrip("."))]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list) and value:
        return [leaf for index, each in enumerate(value) for leaf in _leaves(each, f"{path}[{index}]")]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return [path]
