"""Limits in the configuration file: what is a mistake is named, what is not becomes rules."""

import pytest

from komeet.config.limits import rules_of
from komeet.config.load import ConfigError, parse
from komeet.limits.limit import Scope
from komeet.limits.rules import Amounts, Rule


def test_each_entry_becomes_a_rule() -> None:
    text = """
limits:
  - {scope: key, tag: batch, requests_per_day: 10_000, concurrent: 4, wait_seconds: 30, waiting: 7}
  - {scope: model, match: ["gpt-5*", "openai/*"], tokens_per_minute: 1000}
"""
    assert rules_of(parse(text, {}).limits) == (
        Rule(
            scope=Scope.KEY,
            tag="batch",
            amounts=Amounts(requests_per_day=10_000, concurrent=4, wait_seconds=30, waiting=7),
        ),
        Rule(scope=Scope.MODEL, match=("gpt-5*", "openai/*"), amounts=Amounts(tokens_per_minute=1000)),
    )
    assert parse("", {}).limits == ()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{scope: key}", "limits[0]: give it an amount"),
        ("{scope: team, concurrent: 1}", "limits[0].scope"),
        ("{scope: key, requests_per_minute: 0}", "limits[0].requests_per_minute"),
        ("{scope: model, concurrent: 1, wait_seconds: 3}", "limits[0].wait_seconds: calls wait"),
        ("{scope: provider, concurrent: 1, tag: a}", "limits[0].tag: keys have tags"),
        ("{scope: key, match: [], concurrent: 1}", "limits[0].match"),
        ("{scope: key, rpm: 1}", "limits[0].rpm: there is no such option"),
    ],
)
def test_a_mistake_is_named_by_its_path(entry: str, said: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        parse(f"limits:\n  - {entry}\n", {})
    assert said in str(wrong.value)
