"""What becomes of the channels and ratios of New API and One API."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lab.imports.environment import environment_of

from komeet.config.load import parse
from komeet.config.sales import sales_of
from komeet.lab.imports.channels import Family
from komeet.lab.imports.found import Imported, ImportFailed
from komeet.lab.imports.new_api import Dump, dump_of, read
from komeet.lab.imports.source import read_json
from komeet.lab.imports.write import written
from komeet.providers.registry import load

ROWS = load()


def channel(number: int, kind: int, models: str, **more: object) -> dict[str, object]:
    return {"id": number, "type": kind, "key": f"sk-canary-{number}", "status": 1, "models": models, **more}


def of(*channels: dict[str, object], family: Family = "new", **options: object) -> Imported:
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in options.items()}
    dump = dump_of(read_json(json.dumps({"channels": list(channels), "options": texts})))
    found = read(dump, family, ROWS)
    assert "canary" not in repr(found)
    config = parse(written(found, "test"), environment_of(found))
    sales_of(config.sales)
    return found


def paths(found: Imported, kind: str) -> set[str]:
    return {each.path for each in found.findings if each.kind == kind}


def names(found: Imported) -> list[str]:
    return [each["name"] for each in found.config["providers"]]


def test_a_channel_is_a_provider_that_offers_its_models() -> None:
    found = of(channel(1, 1, "gpt-4o,gpt-4o-mini"))
    assert found.config == {
        "providers": [
            {"name": "openai", "api_key": "${IMPORTED_OPENAI_KEY}", "models": ["gpt-4o", "gpt-4o-mini"]},
        ]
    }
    assert paths(found, "maps") == {"channels[id=1]"}


def test_priority_goes_first_and_weight_within_it() -> None:
    found = of(
        channel(1, 1, "m", priority=1, weight=3),
        channel(2, 48, "m", priority=1, weight=1),
        channel(3, 43, "m", priority=-5),
        channel(4, 20, "m", priority=7),
    )
    (route,) = found.config["routes"]
    assert route["groups"] == [
        {"candidates": [{"model": "openrouter/m"}]},
        {"candidates": [{"model": "openai/m", "weight": 3}, {"model": "xai/m"}], "order": "weighted"},
        {"candidates": [{"model": "deepseek/m"}]},
    ]


def test_a_mapped_model_is_a_route() -> None:
    found = of(channel(1, 1, "mine,gpt-4o", model_mapping='{"mine": "gpt-4o"}'))
    assert found.config["routes"] == [{"name": "mine", "groups": [{"candidates": [{"model": "openai/gpt-4o"}]}]}]
    assert found.config["providers"][0]["models"] == ["gpt-4o"]


def test_several_keys_take_turns_but_for_those_that_are_off() -> None:
    info = {"is_multi_key": True, "multi_key_status_list": {"1": 2}}
    found = of(channel(1, 1, "m", key="sk-canary-a\nsk-canary-b\nsk-canary-c", channel_info=json.dumps(info)))
    assert [each["api_key"] for each in found.config["providers"][0]["credentials"]] == [
        "${IMPORTED_OPENAI_KEY}",
        "${IMPORTED_OPENAI_KEY_2}",
    ]
    assert "channels[id=1].channel_info" in paths(found, "missing")


def test_the_two_number_their_types_otherwise() -> None:
    assert names(of(channel(1, 36, "m"), family="one")) == ["deepseek"]
    assert names(of(channel(1, 36, "m"), family="new")) == []
    assert names(of(channel(1, 43, "m"), family="new")) == ["deepseek"]


def test_a_type_that_asks_elsewhere_keeps_its_address() -> None:
    (made,) = of(channel(1, 25, "kimi")).config["providers"]
    assert (made["name"], made["base_url"]) == ("moonshot", "https://api.moonshot.cn/v1")


@pytest.mark.parametrize(
    ("kind", "given", "name", "asked"),
    [
        (1, "https://api.openai.com", "openai", None),
        (1, "https://proxy.example.com", "proxy-example-com", "https://proxy.example.com/v1"),
        (1, "https://proxy.example.com/openai/", "proxy-example-com", "https://proxy.example.com/openai/v1"),
        (8, "https://own.example.com/v1/chat/completions", "own-example-com", "https://own.example.com/v1"),
        (20, "https://openrouter.ai/api", "openrouter", None),
        (14, "https://proxy.example.com", "anthropic", "https://proxy.example.com/v1"),
        (3, "https://res.openai.azure.com", "azure", "https://res.openai.azure.com/openai/v1"),
    ],
)
def test_an_address_is_completed(kind: int, given: str, name: str, asked: str | None) -> None:
    (made,) = of(channel(1, kind, "m", base_url=given)).config["providers"]
    assert (made["name"], made.get("base_url")) == (name, asked)


def test_what_cannot_be_asked_is_said() -> None:
    found = of(
        channel(1, 2, "mj"), channel(2, 3, "m"), channel(3, 1, "m", status=2), channel(4, 1, "m", base_url="plan")
    )
    assert found.config == {"providers": []}
    assert {"channels[id=1].type", "channels[id=2].base_url", "channels[id=3]", "channels[id=4].base_url"} <= paths(
        found, "missing"
    )


def test_groups_are_tags() -> None:
    found = of(channel(1, 1, "m"), channel(2, 48, "m", group="vip"), channel(3, 43, "m", group="default,vip"))
    (route,) = found.config["routes"]
    assert [(group["candidates"][0]["model"], group.get("when")) for group in route["groups"]] == [
        ("deepseek/m", None),
        ("xai/m", {"tags": ["vip"]}),
        ("openai/m", {"without_tags": ["vip"]}),
    ]
    assert "channels[].group" in paths(found, "differs")


def test_ratios_are_prices_exactly_and_groups_pay_their_part() -> None:
    found = of(
        channel(1, 1, "gpt-4o,dall-e"),
        ModelRatio={"gpt-4o": 1.25, "unknown": 3},
        CompletionRatio={"gpt-4o": 4},
        CacheRatio={"gpt-4o": 0.5},
        ModelPrice={"dall-e": 0.04},
        GroupRatio={"default": 1, "vip": 0.8},
    )
    prices = [
        {"input": Decimal("2.5"), "output": Decimal(10), "cache_read": Decimal("1.25")},
        {"input": Decimal(0), "output": Decimal(0), "request": Decimal("0.04")},
    ]
    assert [each["price"] for each in found.config["sales"][2:4]] == prices
    assert found.config["sales"][0] == {
        "for": {"tag": "vip"},
        "models": ["gpt-4o"],
        "price": {"input": Decimal(2), "output": Decimal(8), "cache_read": Decimal(1)},
    }
    assert found.config["sales"][4:] == [{"for": {"tag": "vip"}, "list": Decimal("0.8")}]
    assert "options.ModelRatio" in paths(found, "missing")


def test_a_ratio_whose_other_half_is_built_in_is_said() -> None:
    found = of(channel(1, 1, "gpt-4o"), ModelRatio={"gpt-4o": 1.25})
    assert "sales" not in found.config
    assert paths(found, "missing") == {"options.ModelRatio.gpt-4o"}


def test_options_are_each_accounted_for() -> None:
    found = of(channel(1, 1, "m"), RetryTimes="3", SMTPToken="canary", Strange="canary", Footer="")
    assert found.config["failover"] == {"attempts": 4}
    assert (paths(found, "missing"), paths(found, "unknown")) == ({"options.SMTPToken"}, {"options.Strange"})


def test_columns_are_each_accounted_for() -> None:
    found = of(channel(1, 1, "m", used_quota=5, strange="canary", param_override='{"a": 1}', setting="", tag=None))
    assert paths(found, "unknown") == {"channels[id=1].strange"}
    assert paths(found, "missing") == {"channels[].used_quota", "channels[id=1].param_override"}


def test_other_tables_are_each_accounted_for() -> None:
    found = read(Dump(channels=[], counts={"tokens": 3, "logs": 0, "strange": 1}), "new", ROWS)
    assert paths(found, "missing") == {"tables.tokens"}
    assert paths(found, "unknown") == {"tables.strange"}


@pytest.mark.parametrize(
    "document", [[channel(1, 1, "m")], {"data": [channel(1, 1, "m")]}, {"data": {"items": [channel(1, 1, "m")]}}]
)
def test_exports_of_each_shape(document: Any) -> None:
    assert len(dump_of(document).channels) == 1


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"nothing": 1}, "the file: expected a list of channels"),
        ([3], r"channels\[0\]: expected a mapping, got a number"),
        ([{"id": 1, "models": "m"}], r"channels\[id=1\].type: needed"),
        ([channel(1, 1, "m", model_mapping="[")], r"channels\[id=1\].model_mapping: "),
        ([channel(1, 1, "m", priority="high")], r"channels\[id=1\].priority: expected a whole number"),
        ({"channels": [], "options": {"GroupRatio": "{"}}, "options.GroupRatio: "),
        ({"channels": [], "options": {"GroupRatio": '{"a": "b"}'}}, "options.GroupRatio.a: expected a number"),
    ],
)
def test_what_has_another_shape_is_said_with_its_path(document: Any, says: str) -> None:
    with pytest.raises(ImportFailed, match=says):
        read(dump_of(document), "new", ROWS)


_types = st.one_of(st.integers(0, 60), st.sampled_from([1, 3, 8, 14, 25, 33, 41]))
_words = st.sampled_from(["gpt-4o", "m", "a/b", "openai/gpt-4o", "@cf/x", "kimi*", "", "é", "claude", "${HOME}"])
_bases = st.sampled_from(
    ["", "https://a.example.com", "http://10.0.0.1", "https://x.openai.azure.com/", "plan", "ftp://x"]
)
_channels = st.fixed_dictionaries(
    {"type": _types, "key": st.sampled_from(["canary", "canary|canary2|r", "canary\ncanary2", "", '["canary"]'])},
    optional={
        "id": st.integers(0, 5),
        "base_url": _bases,
        "models": st.lists(_words, max_size=4).map(",".join),
        "model_mapping": st.dictionaries(_words, _words, max_size=2).map(json.dumps),
        "group": st.lists(st.sampled_from(["default", "vip", "free", "${HOME}"]), max_size=2).map(",".join),
        "weight": st.integers(0, 100),
        "priority": st.integers(-3, 3),
        "status": st.integers(1, 3),
        "other": st.sampled_from(["2024-10-21", "us-central1", "canary"]),
        "strange": st.just("canary"),
    },
)
_ratios = st.dictionaries(_words, st.floats(0, 100, allow_nan=False), max_size=3).map(json.dumps)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(_channels, max_size=6),
    st.fixed_dictionaries(
        {},
        optional={"ModelRatio": _ratios, "CompletionRatio": _ratios, "GroupRatio": _ratios, "RetryTimes": st.just("2")},
    ),
    st.sampled_from(["new", "one"]),
)
def test_whatever_is_written_loads_and_no_secret_is_seen_again(
    channels: list[dict[str, object]], options: dict[str, str], family: Family
) -> None:
    found = of(*channels, family=family, **options)
    strange = [each for each in found.findings if each.path.endswith(".strange") and each.kind == "unknown"]
    wanted = {each.get("id", f"[{index}]") for index, each in enumerate(channels) if "strange" in each}
    assert len(strange) == len(wanted)
