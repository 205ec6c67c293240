"""Other names of models, and ends that the operator knows better."""

import pytest

from komeet.catalog.lifecycle import load
from komeet.config.load import ConfigError, parse
from komeet.config.models import leading, lifecycle_of


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aliases: {a: b, b: a}", "aliases.a: it leads back to itself: a -> b -> a"),
        ("aliases: {a: a}", "aliases.a: it leads back to itself: a -> a"),
        ("aliases: {x: a, a: b, b: c, c: a}", "aliases.x: it leads back to itself: x -> a -> b -> c -> a"),
        ("aliases: {'a b': c}", "aliases"),
        (
            "aliases: {r: openai/gpt-5.2}\nroutes: [{name: r, groups: [{candidates: [{model: a/b}]}]}]",
            "aliases.r: r is already routes[0]",
        ),
        (
            "aliases: {x: y, y: r}\nroutes: [{name: r, groups: [{candidates: [{model: a/b}, {model: x}]}]}]",
            "routes[0].groups[0].candidates[1].model: x leads to a route",
        ),
        ("models: {retired: maybe}", "models.retired: invalid enum value 'maybe'"),
        ("models: {lifecycle: [{provider: p, model: 'a b'}]}", "models.lifecycle[0].model: expected str matching"),
        (
            "models: {lifecycle: [{provider: p, model: a}, {provider: p, model: a}]}",
            "models.lifecycle[1].model: p/a is given twice",
        ),
        (
            "models: {lifecycle: [{provider: p, model: a, successor: b}, {provider: p, model: b, successor: a}]}",
            "models.lifecycle: p: a -> b -> a: a model cannot replace itself",
        ),
        ("models: {lifecycle: [{provider: p, model: a, shutdown: soon}]}", "models.lifecycle[0].shutdown"),
    ],
)
def test_mistakes_are_named_by_their_path(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, {})
    assert message in str(caught.value)


def test_an_alias_may_lead_to_an_alias_and_to_a_route() -> None:
    text = "aliases: {a: b, b: r, c: openai/gpt-5.2}\nroutes: [{name: r, groups: [{candidates: [{model: c}]}]}]"
    assert leading(parse(text, {}).aliases) == {"a": "r", "b": "r", "c": "openai/gpt-5.2"}


def test_an_alias_may_have_the_name_of_a_model_and_pin_its_version() -> None:
    assert leading(parse("aliases: {gpt-5.2: openai/gpt-5.2-2025-12-11}", {}).aliases)


def test_the_operator_s_dates_go_before_the_packaged_ones() -> None:
    text = """
models:
  lifecycle:
    - { provider: openai, model: gpt-4o, shutdown: 2028-01-31, successor: gpt-9 }
    - { provider: openai, model: gpt-4 }
"""
    lifecycle = lifecycle_of(parse(text, {}).models, load())
    later = lifecycle.find("openai", "openai", "gpt-4o")
    assert later is not None
    assert (str(later.shutdown), later.successor) == ("2028-01-31", "gpt-9")
    never = lifecycle.find("openai", "openai", "gpt-4")
    assert never is not None
    assert never.ends is None
    assert not never.is_deprecated(at=1 << 42)
    assert lifecycle.find("openai", "openai", "o1") == load().find("openai", "openai", "o1")
