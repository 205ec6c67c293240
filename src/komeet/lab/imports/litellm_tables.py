"""What becomes of LiteLLM's settings that need no code: a sentence each."""

from typing import Final

from komeet.lab.imports.found import Kind

Table = tuple[tuple[str, Kind, str], ...]

_CALLERS: Final = "a parameter of calls: Komeet sends what the caller sends, and sets none"
_CATALOG: Final = "Komeet knows models from its own catalog and price book"
_NO_CALLBACK: Final = "no callbacks: logs, metrics at /metrics and the request log say the same (docs/operations.md)"
_BUDGETS: Final = "budgets are kept by the ledger: `komeet budget` (docs/budgets.md)"
_PEOPLE: Final = "people, teams and keys are made anew: `komeet org`, `project`, `user`, `key` (docs/budgets.md)"
_NO_REDIS: Final = "no Redis: limits and money are shared by PostgreSQL (`ledger.database`, docs/postgresql.md)"
_NO_GUARDRAILS: Final = "no guardrails are set up by this import"
_NO_CACHE: Final = "no cache of answers is set up by this import"
_NO_OTHER_PATHS: Final = "no pass-through of other paths"

PARAMETERS: Final[Table] = (
    *((name, "missing", _CALLERS) for name in (
        "temperature", "max_tokens", "max_completion_tokens", "top_p", "n", "stop", "seed", "presence_penalty",
        "frequency_penalty", "reasoning_effort", "thinking", "response_format", "tools", "tool_choice", "stream",
        "extra_body", "user", "logit_bias", "allowed_openai_params", "additional_drop_params", "modalities",
    )),
    ("stream_timeout", "missing", "one deadline for streams and whole answers: `deadlines.first_byte`"),
    ("max_retries", "missing", "how much is tried is said once, for all calls: `failover.attempts`"),
    ("tags", "missing", "routes by tags of keys are conditions of a group: `when.tags` (docs/routing.md)"),
    ("region_name", "missing", "regions are places of their own: a provider each, and tags in routes"),
    ("max_parallel_requests", "missing", "calls at once are limited by a limit of one's own: `limits`, `concurrent`"),
    ("mock_response", "missing", "no made-up answers"),
    ("mock_timeout", "missing", "no made-up answers"),
    ("max_budget", "missing", _BUDGETS),
    ("budget_duration", "missing", _BUDGETS),
    ("use_in_pass_through", "missing", _NO_OTHER_PATHS),
    ("aws_role_name", "missing", "no roles are assumed; use a session's key, or AWS's own variables"),
    ("aws_session_name", "missing", "no roles are assumed; use a session's key, or AWS's own variables"),
    ("aws_profile_name", "missing", "no profiles are read; use AWS's own variables"),
    ("azure_ad_token", "missing", "no Entra tokens as such: a `credentials` entry with a `command` can print one"),
    ("tenant_id", "missing", "no Entra tokens as such: a `credentials` entry with a `command` can print one"),
    ("client_id", "missing", "no Entra tokens as such: a `credentials` entry with a `command` can print one"),
    ("client_secret", "missing", "no Entra tokens as such: a `credentials` entry with a `command` can print one"),
    ("litellm_credential_name", "missing", "its key is in `credential_list`, or in a database: give `api_key`"),
)  # fmt: skip
"""Of `litellm_params`."""

INFO: Final[Table] = (
    ("id", "missing", "deployments have no ids: logs and the ledger name provider and model"),
    ("base_model", "missing", "deployments of other names have no price in the book: give one under `prices`"),
    ("mode", "missing", "the surface that is called says what for; see docs/guarantees.md for those that there are"),
    ("health_check_timeout", "missing", "health is learned from calls (docs/routing.md)"),
    ("access_groups", "missing", "what a key may use is said with the key: `komeet key create --models`"),
    ("team_id", "missing", _PEOPLE),
    ("description", "missing", "models have no description"),
    *((name, "missing", _CATALOG) for name in (
        "max_tokens", "max_input_tokens", "max_output_tokens", "supports_vision", "supports_function_calling",
        "supports_reasoning", "supports_response_schema", "supports_prompt_caching", "litellm_provider", "key",
    )),
)  # fmt: skip
"""Of `model_info`."""

ROUTER: Final[Table] = (
    *((name, "missing", _NO_REDIS) for name in (
        "redis_host", "redis_port", "redis_password", "redis_url", "redis_db", "cache_kwargs", "redis_ssl",
    )),
    ("cache_responses", "missing", _NO_CACHE),
    ("enable_pre_call_checks", "maps", "a prompt that is too long goes to models that read more, always"),
    ("retry_after", "differs", "pauses follow Retry-After, or a moment with chance in it (docs/routing.md)"),
    ("retry_policy", "missing", "what is tried again goes by what happened, not by settings (docs/routing.md)"),
    ("model_group_retry_policy", "missing", "what is tried again goes by what happened (docs/routing.md)"),
    ("allowed_fails_policy", "missing", "one breaker for every kind of failure: `failover.breaker`"),
    ("routing_strategy_args", "missing", "the orders of a group have no settings (docs/routing.md)"),
    ("enable_tag_filtering", "missing", "conditions by tags are said in each group: `when.tags`"),
    ("disable_cooldowns", "missing", "the breaker is always there: `failover.breaker`"),
    ("stream_timeout", "missing", "one deadline for streams and whole answers: `deadlines.first_byte`"),
    ("max_retries", "missing", "how much is tried is said once: `failover.attempts`"),
    ("set_verbose", "missing", "`log.level` says how much is logged"),
    ("debug_level", "missing", "`log.level` says how much is logged"),
    ("optional_pre_call_checks", "missing", "sticky routes are an order of their own: `sticky` (docs/routing.md)"),
    ("provider_budget_config", "missing", _BUDGETS),
    ("routing_groups", "missing", "each route has its own order: `order` (docs/routing.md)"),
    ("polling_interval", "missing", "nothing is polled"),
)  # fmt: skip
"""Of `router_settings`."""

SETTINGS: Final[Table] = (
    *((name, "missing", _NO_CALLBACK) for name in (
        "callbacks", "success_callback", "failure_callback", "service_callbacks", "callback_settings",
        "turn_off_message_logging", "redact_user_api_key_info", "langfuse_default_tags", "s3_callback_params",
        "default_team_settings", "json_logs", "audit_log_callbacks",
    )),
    *((name, "missing", _NO_CACHE) for name in (
        "cache", "cache_params", "enable_caching_on_provider_specific_optional_params",
    )),
    *((name, "missing", _BUDGETS) for name in (
        "max_budget", "budget_duration", "max_user_budget", "max_internal_user_budget", "internal_user_budget_duration",
        "max_end_user_budget", "max_end_user_budget_id",
    )),
    *((name, "missing", _PEOPLE) for name in (
        "default_internal_user_params", "default_key_generate_params", "default_team_params",
        "upperbound_key_generate_params",
    )),
    ("telemetry", "maps", "Komeet tells nobody anything"),
    ("set_verbose", "missing", "`log.level` says how much is logged"),
    ("guardrails", "missing", _NO_GUARDRAILS),
    ("modify_params", "missing", "what a format cannot carry is left out or refused: `translation.losses`"),
    ("ssl_verify", "missing", "certificates are always verified; more authorities: `connections.tls.ca_file`"),
    ("include_cost_in_streaming_usage", "missing", "costs are in the ledger: `komeet ledger show`"),
    ("require_auth_for_metrics_endpoint", "missing", "see docs/operations.md for who may read /metrics"),
    ("mcp_aliases", "missing", "no MCP servers"),
    ("model_alias_map", "missing", "aliases are routes: `routes`"),
    ("custom_provider_map", "missing", "no code of one's own: an address that speaks a known format is a provider"),
)  # fmt: skip
"""Of `litellm_settings`."""

GENERAL: Final[Table] = (
    ("master_key", "differs", "no master key: `komeet key create` makes keys, and the command line needs none"),
    ("database_url", "missing", "its keys and spending stay there; Komeet's own database: `ledger.database`"),
    ("store_model_in_db", "missing", "models that are only in its database are not in this file, and not imported"),
    ("salt_key", "missing", "keys of providers are not kept in a database"),
    ("coordination_redis", "missing", _NO_REDIS),
    ("use_redis_transaction_buffer", "missing", _NO_REDIS),
    ("custom_auth", "missing", "no code of one's own: callers have Komeet's keys"),
    ("pass_through_endpoints", "missing", _NO_OTHER_PATHS),
    ("max_parallel_requests", "missing", "bounds of all calls are `server.max_calls` and `limits`"),
    ("global_max_parallel_requests", "missing", "bounds of all calls are `server.max_calls` and `limits`"),
    ("max_request_size_mb", "missing", "`server.max_body_bytes` bounds requests"),
    ("alerting", "missing", "thresholds of budgets are told by `budgets.webhook`; the rest is in the metrics"),
    ("alerting_threshold", "missing", "what is slow is in the metrics"),
    ("alert_types", "missing", "thresholds of budgets are told by `budgets.webhook`; the rest is in the metrics"),
    ("background_health_checks", "missing", "health is learned from calls (docs/routing.md)"),
    ("health_check_interval", "missing", "health is learned from calls (docs/routing.md)"),
    ("key_management_system", "missing", "keys come from the environment, a file or a command: `credentials`"),
    ("store_prompts_in_spend_logs", "missing", "a key says whether bodies are kept: `komeet key create`"),
    ("disable_spend_logs", "missing", "the ledger is always kept"),
    ("proxy_batch_write_at", "missing", "the ledger is written with each call, in groups"),
    ("database_connection_pool_limit", "missing", "connections to the database need no setting"),
    ("allowed_routes", "missing", "all surfaces are there for every key"),
    ("enable_jwt_auth", "missing", "callers have Komeet's keys"),
    ("ui_access_mode", "missing", "the console is for this machine alone: `console`"),
    ("completion_model", "missing", "a call names its model"),
)  # fmt: skip
"""Of `general_settings`."""

WHOLE: Final[Table] = (
    ("guardrails", "missing", _NO_GUARDRAILS),
    ("files_settings", "missing", "no surface for files"),
    ("finetune_settings", "missing", "no surface for fine-tuning"),
    ("mcp_servers", "missing", "no MCP servers"),
    ("vector_store_registry", "missing", "no vector stores"),
    ("credential_list", "missing", "give keys where their provider is: `api_key`, or `credentials`"),
    ("include", "missing", "other files are not read: import each of them"),
    ("callback_settings", "missing", _NO_CALLBACK),
    ("search_tools", "missing", "no search tools"),
    ("prompts", "missing", "no prompts are kept"),
    ("assistant_settings", "missing", "no surface for assistants"),
    ("router_settings_per_team", "missing", _PEOPLE),
)
"""Of the whole file."""
