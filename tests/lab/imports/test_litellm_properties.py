"""Whatever a configuration of LiteLLM says: what is written loads, no secret is seen again, no key is lost."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from tests.lab.imports.environment import environment_of, with_aws
from tests.lab.imports.strategies import SECRET, documents, dump

from komeet.config.load import parse
from komeet.config.own import own_prices
from komeet.config.providers import find
from komeet.lab.imports import litellm
from komeet.lab.imports.found import Imported
from komeet.lab.imports.source import read_yaml
from komeet.lab.imports.write import written
from komeet.providers.registry import Row, load

ROWS = load()


def owner(model: str) -> Row | None:
    """Two makers are enough here."""
    return {"gpt": ROWS["openai"], "cla": ROWS["anthropic"]}.get(model[:3])


def imported(document: dict[str, Any]) -> Imported:
    return litellm.read(read_yaml(dump(document)), ROWS, owner)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents)
def test_what_is_written_loads_and_no_secret_is_in_it_or_in_the_report(document: dict[str, Any]) -> None:
    found = imported(document)
    text = written(found, "config.yaml")
    report = " ".join([text, *(f"{each.path} {each.says}" for each in found.findings), repr(found.variables)])
    assert SECRET not in report
    assert "password" not in report.replace("redis_password", "").replace("no user or password", "")
    environment = environment_of(found)
    config = parse(text, environment)
    own_prices(config)
    routes = {route.name for route in config.routes}
    assert not [
        each for each in config.routes for group in each.groups for one in group.candidates if one.model in routes
    ]
    if not any(each.name == "GOOGLE_APPLICATION_CREDENTIALS" or each.literal for each in found.variables):
        find(config, with_aws(environment))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents)
def test_every_key_that_is_not_understood_is_named(document: dict[str, Any]) -> None:
    paths = {each.path for each in imported(document).findings}
    for index, entry in enumerate(document.get("model_list", [])):
        path = f"model_list[{index}]"
        assert ("strange" in entry) == (f"{path}.strange" in paths)
        assert ("strange" in entry.get("model_info", {})) == (f"{path}.model_info.strange" in paths)
        assert ("nobody_knows" in entry["litellm_params"]) == (f"{path}.litellm_params.nobody_knows" in paths)
        assert any(each.startswith(f"{path}.litellm_params.") for each in paths), "what became of it is said"
    for part in ("router_settings", "litellm_settings", "general_settings"):
        assert ("strange" in document.get(part, {})) == (f"{part}.strange" in paths)
    assert ("strange" in document) == ("strange" in paths)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents)
def test_an_import_is_the_same_each_time(document: dict[str, Any]) -> None:
    assert imported(document) == imported(document)
