"""Configurations of LiteLLM as anybody might write them, and as nobody should."""

from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import strategies as st

from komeet.providers.registry import load

SECRET = "sk-SECRET-"
"""How each secret of a generated configuration begins: it must not be seen again."""
_ROWS = load()
_PREFIXES = sorted(prefix for row in _ROWS.values() for prefix in row.litellm)
_NAMES = st.one_of(
    st.sampled_from(
        ["gpt-4o", "claude-sonnet-4-5", "a/b", "openai/gpt-4o", "azure/gpt-4o", "openai/*", "*", "gpt-*", "x"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=12),
)
secrets = st.integers(0, 9).map(lambda number: f"{SECRET}{number}")
_maybe_secret = st.one_of(
    secrets, st.sampled_from(["os.environ/A_KEY", "os.environ/OPENAI_API_KEY", "", "os.environ/"])
)
_amounts = st.one_of(st.integers(0, 10**6), st.sampled_from([0.5, "7", 1e-7, 2.5e-6, 0.0000012345678912, None]))
_bases = st.sampled_from(
    [
        "https://api.openai.com/v1",
        "http://localhost:8000",
        "http://10.0.0.1:8000/v1",
        "https://res-1.openai.azure.com/",
        "https://res-2.openai.azure.com",
        "https://gateway.example.com/v1",
        "os.environ/MY_API_BASE",
        "https://user:password@example.com",
        "ftp://example.com",
        "not an address",
        "https://${HOME}.example.com",
    ]
)
_models = st.one_of(
    st.tuples(st.sampled_from(_PREFIXES), _NAMES).map("/".join),
    _NAMES,
    st.sampled_from(["nobody/model", "custom_openai/m", "azure/", "vertex_ai/claude-sonnet-4-5", "bedrock/converse/m"]),
)


def _some(optional: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=optional)


def _with_model(model: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"model": model, **more}


_parameters = st.builds(
    _with_model,
    _models,
    _some(
        {
            "api_base": _bases,
            "api_key": _maybe_secret,
            "api_version": st.sampled_from(["2024-10-21", "2023-06-01-preview", "os.environ/VERSION", "${HOME}"]),
            "rpm": _amounts,
            "tpm": _amounts,
            "weight": _amounts,
            "order": st.integers(0, 4),
            "timeout": _amounts,
            "input_cost_per_token": _amounts,
            "output_cost_per_token": _amounts,
            "input_cost_per_token_above_200k_tokens": _amounts,
            "cache_read_input_token_cost": _amounts,
            "organization": secrets,
            "extra_headers": st.dictionaries(
                st.sampled_from(["X-Key", "Authorization", "X-Title-Of"]), secrets, max_size=2
            ),
            "custom_llm_provider": st.sampled_from(["openai", "anthropic", "nobody"]),
            "aws_access_key_id": secrets,
            "aws_secret_access_key": secrets,
            "aws_region_name": st.just("eu-west-1"),
            "vertex_credentials": st.one_of(secrets, st.just({"private_key": f"{SECRET}1"})),
            "vertex_project": st.just("project-1"),
            "temperature": st.just(0.5),
            "nobody_knows": secrets,
        }
    ),
)
_entries = st.fixed_dictionaries(
    {"model_name": _NAMES, "litellm_params": _parameters},
    optional={
        "model_info": _some({"mode": st.just("chat"), "input_cost_per_token": _amounts, "strange": secrets}),
        "strange": secrets,
    },
)
_pairs = st.lists(
    st.dictionaries(st.one_of(_NAMES, st.just("*")), st.lists(_NAMES, max_size=2), max_size=2), max_size=2
)
documents = _some(
    {
        "model_list": st.lists(_entries, max_size=6),
        "router_settings": _some(
            {
                "routing_strategy": st.sampled_from(
                    ["simple-shuffle", "least-busy", "latency-based-routing", "usage-based-routing-v2", "own"]
                ),
                "num_retries": st.integers(0, 50),
                "timeout": _amounts,
                "allowed_fails": st.integers(0, 5),
                "cooldown_time": _amounts,
                "fallbacks": _pairs,
                "context_window_fallbacks": _pairs,
                "content_policy_fallbacks": _pairs,
                "default_fallbacks": st.lists(_NAMES, max_size=2),
                "model_group_alias": st.dictionaries(_NAMES, _NAMES, max_size=2),
                "redis_password": secrets,
                "strange": secrets,
            }
        ),
        "litellm_settings": _some({"drop_params": st.booleans(), "num_retries": st.integers(0, 3), "strange": secrets}),
        "general_settings": _some({"master_key": secrets, "database_url": secrets, "strange": secrets}),
        "environment_variables": st.dictionaries(st.sampled_from(["A_KEY", "REDIS_HOST"]), secrets),
        "strange": secrets,
    }
)
dump: Callable[[Any], str] = yaml.safe_dump
