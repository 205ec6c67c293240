"""Webhooks are not configured without a secret, nor to where anybody could read along."""

from typing import Any

import pytest
import yaml

from komeet.config.load import ConfigError, parse

SECRET = "whsec-0123456789abcdef"


def text(config: Any) -> str:
    return yaml.safe_dump(config)


def test_both_are_off_unless_they_are_configured() -> None:
    config = parse("", {})
    assert (config.budgets.webhook, config.payments.webhook_secret) == (None, None)


def test_with_secrets_they_are_on_and_the_secrets_do_not_print() -> None:
    webhook = {"url": "https://hooks.example.com/a?b=c", "secret": "${HOOK}"}
    config = parse(text({"budgets": {"webhook": webhook}, "payments": {"webhook_secret": SECRET}}), {"HOOK": SECRET})
    assert config.budgets.webhook is not None
    assert config.budgets.webhook.secret.reveal() == SECRET
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"budgets": {"webhook": {"url": "https://hooks.example.com"}}}, "budgets.webhook"),
        ({"budgets": {"webhook": {"url": "https://hooks.example.com", "secret": ""}}}, "budgets.webhook.secret"),
        ({"budgets": {"webhook": {"url": "https://hooks.example.com", "secret": "short"}}}, "budgets.webhook.secret"),
        ({"budgets": {"webhook": {"url": "http://hooks.example.com", "secret": SECRET}}}, "budgets.webhook.url"),
        ({"budgets": {"webhook": {"url": "ftp://hooks", "secret": SECRET}}}, "budgets.webhook.url"),
        ({"payments": {"webhook_secret": ""}}, "payments.webhook_secret"),
    ],
)
def test_what_would_not_be_safe_is_refused_by_its_path(config: Any, path: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text(config), {})
    assert str(error.value).startswith(f"{path}: ")
    assert SECRET not in str(error.value)
