import pytest

from komeet.catalog import profiles
from komeet.catalog.profile import Profile, Sampling, ThinkingStyle
from komeet.catalog.profiles import Profiles

KNOWN = profiles.load()


def test_the_origins_model_renames_the_limit_and_keeps_a_temperature_while_it_does_not_reason() -> None:
    for name in ("gpt-5.2", "gpt-5.2-2025-12-11", "GPT-5.2"):
        profile = KNOWN.find("openai", name)
        assert profile.limit_field == "max_completion_tokens"
        assert profile.sampling is Sampling.WITHOUT_REASONING
        assert profile.default_effort == "none"
        assert (profile.context_window, profile.input_limit, profile.output_limit) == (400_000, 272_000, 128_000)


@pytest.mark.parametrize(
    ("model", "sampling", "effort", "output"),
    [
        ("gpt-5", Sampling.NEVER, "medium", 128_000),
        ("gpt-5-mini-2025-08-07", Sampling.NEVER, "medium", 128_000),
        ("gpt-5-chat-latest", Sampling.ALWAYS, None, 16_384),
        ("gpt-5-pro", Sampling.NEVER, "high", 272_000),
        ("gpt-5.1", Sampling.WITHOUT_REASONING, "none", 128_000),
        ("gpt-5.1-codex-max", Sampling.NEVER, "medium", 128_000),
        ("gpt-5.2-chat-latest", Sampling.NEVER, "medium", 16_384),
        ("gpt-5.2-pro", Sampling.NEVER, None, 128_000),
        ("gpt-5.3-chat-latest", Sampling.ALWAYS, None, None),
        ("gpt-5.4", Sampling.WITHOUT_REASONING, "none", 128_000),
        ("gpt-5.4-pro-2026-03-05", Sampling.NEVER, None, 128_000),
        ("gpt-5.5", Sampling.WITHOUT_REASONING, "medium", 128_000),
        ("gpt-5.6-sol", Sampling.WITHOUT_REASONING, "medium", 128_000),
        ("gpt-6-astra", Sampling.NEVER, "medium", 128_000),
        ("gpt-6-luna", Sampling.WITHOUT_REASONING, "medium", 128_000),
        ("gpt-6.1-sol", Sampling.NEVER, "medium", 128_000),
        ("gpt-6.2-astra", Sampling.NEVER, "medium", 128_000),
        ("o1", Sampling.NEVER, "medium", 100_000),
        ("o3-mini", Sampling.NEVER, "medium", 100_000),
        ("o4-mini-2025-04-16", Sampling.NEVER, "medium", 100_000),
    ],
)
def test_openais_reasoning_lines(model: str, sampling: Sampling, effort: str | None, output: int | None) -> None:
    profile = KNOWN.find("openai", model)
    assert profile.limit_field == "max_completion_tokens"
    assert (profile.sampling, profile.default_effort, profile.output_limit) == (sampling, effort, output)


@pytest.mark.parametrize(
    ("model", "output"), [("gpt-4o", 16_384), ("gpt-4o-mini", 16_384), ("gpt-4.1-nano", 32_768), ("gpt-4-turbo", 4_096)]
)
def test_openais_other_lines_are_not_changed(model: str, output: int) -> None:
    profile = KNOWN.find("openai", model)
    assert (profile.limit_field, profile.sampling, profile.output_limit) == (None, Sampling.ALWAYS, output)


def test_a_line_that_comes_after_this_release_gets_the_name_of_its_limit_and_nothing_else() -> None:
    assert KNOWN.find("openai", "gpt-7-sol") == Profile(
        limit_field="max_completion_tokens", template_tokens=256, takes_reasoning=False
    )


def test_an_unknown_model_is_not_changed() -> None:
    assert KNOWN.find("nobody", "gpt-5.2") == Profile()
    assert KNOWN.find("openai", "davinci-002") == Profile(template_tokens=256, takes_reasoning=False)


def test_other_families() -> None:
    assert KNOWN.find("mistral", "mistral-large-latest").limit_field == "max_tokens"
    assert KNOWN.find("local", "smollm2-135m").context_window == 8192
    assert KNOWN.find("openrouter", "openai/gpt-5.2:online").hosted_tools
    assert KNOWN.find("openai", "gpt-4o-search-preview").hosted_tools


@pytest.mark.parametrize(
    ("model", "thinking", "efforts"),
    [
        ("gemini-3-pro-preview", ThinkingStyle.ADAPTIVE, ("low", "high")),
        ("gemini-3.1-pro-preview", ThinkingStyle.ADAPTIVE, ("low", "medium", "high")),
        ("gemini-3-flash-preview", ThinkingStyle.ADAPTIVE, ("minimal", "low", "medium", "high")),
        ("gemini-2.5-pro", ThinkingStyle.BUDGET, ("minimal", "low", "medium", "high")),
        ("gemini-2.5-flash-lite", ThinkingStyle.BUDGET, ("none", "minimal", "low", "medium", "high")),
        ("gemini-2.5-flash-image", ThinkingStyle.NONE, ()),
        ("gemini-2.0-flash", ThinkingStyle.NONE, ()),
    ],
)
def test_how_googles_lines_are_told_to_reason(model: str, thinking: ThinkingStyle, efforts: tuple[str, ...]) -> None:
    found = KNOWN.find("google", model)
    assert (found.thinking, found.efforts) == (thinking, efforts)


def test_the_first_pattern_wins_and_a_dot_is_a_dot() -> None:
    first, second = Profile(output_limit=1), Profile(output_limit=2)
    found = Profiles([("f", ["a.b", "c*"], first), ("f", ["*"], second), ("g", ["*"], first)])
    assert found.find("f", "a.b") is first
    assert found.find("f", "axb") is second
    assert found.find("f", "cat") is first
    assert found.find("g", "anything") is first


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b"[[line]]\nfamily = 'x'\nmodels = ['*']\n[line.takes]\nlimt_field = 'x'\n", "limt_field"),
        (b"[family.x]\nsampling = 'sometimes'\n", "sometimes"),
        (b"[[line]]\nfamily = 'x'\n", "models"),
        (b"nonsense", "Expected"),
    ],
)
def test_a_mistake_is_named(text: bytes, path: str) -> None:
    with pytest.raises(ValueError, match=path):
        profiles.parse(text)
