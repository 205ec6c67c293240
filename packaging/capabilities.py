"""Writes src/komeet/catalog/capabilities.json from the model file of the litellm package (MIT).

    pip download litellm==1.109.1 --no-deps && unzip litellm-*.whl 'litellm/model_prices*.json'
    python packaging/capabilities.py litellm/model_prices_and_context_window_backup.json 1.109.1

Only facts that lists show are taken: what kind of model it is, what it can do, its limits; no prices.
"""

import json
import sys
from pathlib import Path

PROVIDERS = {
    "anthropic": "anthropic",
    "azure": "azure",
    "bedrock": "bedrock",
    "bedrock_converse": "bedrock",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "dashscope": "qwen",
    "databricks": "databricks",
    "deepinfra": "deepinfra",
    "deepseek": "deepseek",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "groq": "groq",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshot": "moonshot",
    "nebius": "nebius",
    "novita": "novita",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "sambanova": "sambanova",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "vertex_ai-language-models": "vertex",
    "xai": "xai",
    "zai": "zai",
}
"""Its name of a provider, and that of providers/registry.toml."""

TYPES = {
    "audio_speech": "speech",
    "audio_transcription": "transcription",
    "chat": "chat",
    "completion": "chat",
    "embedding": "embedding",
    "image_edit": "image",
    "image_generation": "image",
    "moderation": "moderation",
    "realtime": "realtime",
    "rerank": "rerank",
    "responses": "chat",
    "video_generation": "video",
}

FEATURES = {
    "supports_audio_input": "audio_input",
    "supports_audio_output": "audio_output",
    "supports_computer_use": "computer_use",
    "supports_function_calling": "tools",
    "supports_parallel_function_calling": "parallel_tools",
    "supports_pdf_input": "pdf",
    "supports_prompt_caching": "prompt_cache",
    "supports_reasoning": "reasoning",
    "supports_response_schema": "json_schema",
    "supports_vision": "vision",
    "supports_web_search": "web_search",
}


def row(facts: dict[str, object]) -> dict[str, object] | None:
    """Return what is kept of one model; None: it is none that lists show."""
    kind = TYPES.get(str(facts.get("mode")))
    if kind is None:
        return None
    kept: dict[str, object] = {"type": kind}
    features = sorted(name for flag, name in FEATURES.items() if facts.get(flag) is True)
    if features:
        kept["features"] = features
    for theirs, ours in (("max_input_tokens", "input_limit"), ("max_output_tokens", "output_limit")):
        limit = facts.get(theirs)
        if isinstance(limit, int | float) and limit > 0:
            kept[ours] = int(limit)
    return kept


def main(source: Path, version: str) -> None:
    """Write the file."""
    found: dict[str, dict[str, object]] = {}
    for name, facts in sorted(json.loads(source.read_text()).items()):
        provider = PROVIDERS.get(facts.get("litellm_provider", ""))
        kept = row(facts)
        if provider is None or kept is None or name.startswith("ft:") or "/ByteDance/" in name:
            continue  # nothing that lists show, or a name that tests/structure/test_words.py does not take
        prefix = f"{facts['litellm_provider']}/"
        model = name.removeprefix(prefix)
        if model == name and "/" in name and not name.startswith(("accounts/",)) and provider in {"openai", "bedrock"}:
            continue  # a size of images, or a region: no name that calls have
        found.setdefault(provider, {}).setdefault(model, kept)
    notice = f"from litellm {version}, model_prices_and_context_window_backup.json; MIT, Copyright (c) 2023 Berri AI"
    lines = [f'{{"source": {json.dumps(notice)}, "providers": {{']
    for last, provider in enumerate(sorted(found), 1 - len(found)):
        lines.append(f"{json.dumps(provider)}: {{")
        models = found[provider]
        rows = [f"{json.dumps(model)}: {json.dumps(models[model], separators=(',', ':'))}" for model in sorted(models)]
        lines.append(",\n".join(rows))
        lines.append("}" if last == 0 else "},")
    lines.append("}}")
    Path("src/komeet/catalog/capabilities.json").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
