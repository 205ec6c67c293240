"""What a request can ask for, in the words of each caller's format that has them."""

from typing import Any, Final

import msgspec
from msgspec import Struct
from tests.wire.matrix import gemini_cases
from tests.wire.matrix.gemini_cases import GEMINI

CHAT: Final = "openai_chat"
RESPONSES: Final = "openai_responses"
MESSAGES: Final = "anthropic_messages"
CALLERS: Final = (CHAT, RESPONSES, MESSAGES, GEMINI)
TARGETS: Final = (*CALLERS, "bedrock_converse", "cohere_chat")

_SCHEMA: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_PDF: Final = "JVBERi0xLjQ="
_PNG: Final = "iVBORw0KGgo="
_URL: Final = "https://example.com/a.png"


class Case(Struct, frozen=True, kw_only=True):
    """One feature: the members that say it, by caller's format, and what a provider must get to see of it."""

    title: str
    said: dict[str, dict[str, Any]]
    needles: tuple[str, ...] = ()
    """Texts that must be in what is sent, however it is said."""
    unless_lost: tuple[str, ...] = ()
    """Texts that must be there where no loss is declared."""


def base(caller: str) -> dict[str, Any]:
    """The request that every case adds to."""
    match caller:
        case "openai_chat":
            return {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
        case "openai_responses":
            return {"model": "m", "input": "Hi", "store": False}
        case "gemini":
            return gemini_cases.BASE
        case _:
            return {"model": "m", "max_tokens": 1000, "messages": [{"role": "user", "content": "Hi"}]}


def _user(chat: list[Any] | None, responses: list[Any] | None, messages: list[Any] | None) -> dict[str, dict[str, Any]]:
    """A user's content, in the formats that can say it."""
    said: dict[str, dict[str, Any]] = {}
    if chat is not None:
        said[CHAT] = {"messages": [{"role": "user", "content": chat}]}
    if responses is not None:
        said[RESPONSES] = {"input": [{"role": "user", "content": responses}]}
    if messages is not None:
        said[MESSAGES] = {"messages": [{"role": "user", "content": messages}]}
    return said


def _everywhere(**fields: Any) -> dict[str, dict[str, Any]]:
    return {name: dict(fields) for name in (CHAT, RESPONSES, MESSAGES)}


_FUNCTION: Final = {"name": "get_weather", "description": "Tells the weather.", "parameters": _SCHEMA}
_TOOLS: Final[dict[str, dict[str, Any]]] = {
    CHAT: {"tools": [{"type": "function", "function": _FUNCTION}]},
    RESPONSES: {"tools": [{"type": "function", **_FUNCTION, "strict": False}]},
    MESSAGES: {
        "tools": [{"name": "get_weather", "description": "Tells the weather.", "input_schema": _SCHEMA}],
    },
}


def _with_tools(chat: Any, responses: Any, messages: Any) -> dict[str, dict[str, Any]]:
    more = {CHAT: chat, RESPONSES: responses, MESSAGES: messages}
    return {name: {**_TOOLS[name], **fields} for name, fields in more.items()}


def _history(result_chat: Any, result_responses: Any, result_messages: Any, **flags: Any) -> dict[str, dict[str, Any]]:
    """Two calls at once and their results; the first result is given."""
    calls = [("call_1", '{"city":"Paris"}'), ("call_2", '{"city":"Rome"}')]
    return {
        CHAT: {
            **_TOOLS[CHAT],
            "messages": [
                {"role": "user", "content": "Hi"},
                {
                    "role": "assistant",
                    "content": "Looking.",
                    "tool_calls": [
                        {"id": call, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
                        for call, arguments in calls
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": result_chat},
                {"role": "tool", "tool_call_id": "call_2", "content": "rain"},
            ],
        },
        RESPONSES: {
            **_TOOLS[RESPONSES],
            "input": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Looking."},
                *[
                    {"type": "function_call", "call_id": call, "name": "get_weather", "arguments": arguments}
                    for call, arguments in calls
                ],
                {"type": "function_call_output", "call_id": "call_1", "output": result_responses},
                {"type": "function_call_output", "call_id": "call_2", "output": "rain"},
            ],
        },
        MESSAGES: {
            **_TOOLS[MESSAGES],
            "messages": [
                {"role": "user", "content": "Hi"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "Looking."},
                        {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Paris"}},
                        {"type": "tool_use", "id": "call_2", "name": "get_weather", "input": {"city": "Rome"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "call_1", "content": result_messages, **flags},
                        {"type": "tool_result", "tool_use_id": "call_2", "content": "rain"},
                    ],
                },
            ],
        },
    }


_IMAGE_RESULT: Final = {
    RESPONSES: [{"type": "input_image", "image_url": f"data:image/png;base64,{_PNG}"}],
    MESSAGES: [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PNG}}],
}


def _only(said: dict[str, dict[str, Any]], *names: str) -> dict[str, dict[str, Any]]:
    return {name: said[name] for name in names}


CONTENT: Final = (
    Case(
        title="instructions first",
        said={
            CHAT: {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
            RESPONSES: {"instructions": "Be brief."},
            MESSAGES: {"system": "Be brief."},
        },
        needles=("Be brief.",),
    ),
    Case(
        title="instructions between messages",
        said={
            CHAT: {"messages": [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}]},
            RESPONSES: {"input": [{"role": "user", "content": "Hi"}, {"role": "developer", "content": "Be brief."}]},
            MESSAGES: {"messages": [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}]},
        },
        needles=("Be brief.",),
    ),
    Case(
        title="image by URL",
        said=_user(
            [{"type": "image_url", "image_url": {"url": _URL}}],
            [{"type": "input_image", "image_url": _URL}],
            [{"type": "image", "source": {"type": "url", "url": _URL}}],
        ),
        needles=(_URL,),
    ),
    Case(
        title="image in the request",
        said=_user(
            [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PNG}"}}],
            [{"type": "input_image", "image_url": f"data:image/png;base64,{_PNG}"}],
            [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PNG}}],
        ),
        needles=(_PNG, "png"),
    ),
    Case(
        title="how closely to look at an image",
        said=_user(
            [{"type": "image_url", "image_url": {"url": _URL, "detail": "low"}}],
            [{"type": "input_image", "image_url": _URL, "detail": "low"}],
            None,
        ),
        needles=(_URL,),
    ),
    Case(
        title="PDF in the request",
        said=_user(
            [{"type": "file", "file": {"file_data": f"data:application/pdf;base64,{_PDF}", "filename": "a.pdf"}}],
            [{"type": "input_file", "file_data": f"data:application/pdf;base64,{_PDF}", "filename": "a.pdf"}],
            [
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": _PDF},
                    "title": "a.pdf",
                }
            ],
        ),
        needles=(_PDF,),
        unless_lost=("a.pdf",),
    ),
    Case(
        title="PDF by URL",
        said=_user(
            None,
            [{"type": "input_file", "file_url": "https://example.com/a.pdf"}],
            [{"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}],
        ),
        needles=("https://example.com/a.pdf",),
    ),
    Case(
        title="text document",
        said=_user(
            None,
            None,
            [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Once upon"}}],
        ),
    ),
    Case(
        title="sound",
        said=_user(
            [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}],
            [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}],
            None,
        ),
        needles=("UklGRg==",),
    ),
    Case(
        title="a file by its id",
        said=_user(
            [{"type": "file", "file": {"file_id": "file-1"}}],
            [{"type": "input_file", "file_id": "file-1"}],
            [{"type": "document", "source": {"type": "file", "file_id": "file-1"}}],
        ),
        needles=("file-1",),
    ),
    Case(
        title="a refusal earlier",
        said={
            CHAT: {
                "messages": [*base(CHAT)["messages"], {"role": "assistant", "refusal": "No."}, *base(CHAT)["messages"]]
            },
            RESPONSES: {
                "input": [
                    {"role": "user", "content": "Hi"},
                    {
                        "type": "message",
                        "role": "assistant",
                        "id": "msg_1",
                        "status": "completed",
                        "content": [{"type": "refusal", "refusal": "No."}],
                    },
                    {"role": "user", "content": "Hi"},
                ]
            },
        },
        needles=("No.",),
    ),
    Case(
        title="content of a kind that is not known here",
        said=_user([{"type": "hologram", "data": "x"}], [{"type": "hologram", "data": "x"}], [{"type": "hologram"}]),
        needles=("hologram",),
    ),
)

TOOLS: Final = (
    Case(title="functions", said=_TOOLS, needles=("get_weather", "Tells the weather.")),
    Case(
        title="two calls at once, and their results",
        said=_history("sun", "sun", "sun"),
        needles=("Paris", "Rome", "call_1", "call_2", "sun", "rain", "Looking."),
    ),
    Case(
        title="a tool that failed",
        said=_only(_history("", "", "no such city", is_error=True), MESSAGES),
        needles=("no such city",),
    ),
    Case(
        title="an image as a result",
        said=_only(_history("", _IMAGE_RESULT[RESPONSES], _IMAGE_RESULT[MESSAGES]), RESPONSES, MESSAGES),
        needles=(_PNG, "rain"),
    ),
    Case(
        title="a call must be made",
        said=_with_tools({"tool_choice": "required"}, {"tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
    ),
    Case(
        title="this call must be made",
        said=_with_tools(
            {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
            {"tool_choice": {"type": "function", "name": "get_weather"}},
            {"tool_choice": {"type": "tool", "name": "get_weather"}},
        ),
    ),
    Case(
        title="no call may be made",
        said=_with_tools({"tool_choice": "none"}, {"tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
    ),
    Case(
        title="one call at a time",
        said=_with_tools(
            {"parallel_tool_calls": False},
            {"parallel_tool_calls": False},
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ),
    ),
    Case(
        title="a tool that takes free text",
        said={
            CHAT: {"tools": [{"type": "custom", "custom": {"name": "shell", "description": "Runs it."}}]},
            RESPONSES: {"tools": [{"type": "custom", "name": "shell", "description": "Runs it."}]},
        },
        needles=("shell", "Runs it."),
    ),
    Case(
        title="tools in a group",
        said={
            RESPONSES: {
                "tools": [
                    {
                        "type": "namespace",
                        "name": "files",
                        "description": "Files.",
                        "tools": [{"type": "function", **_FUNCTION}],
                    }
                ]
            }
        },
        needles=("get_weather", "files"),
    ),
    Case(
        title="the provider's web search",
        said={
            RESPONSES: {"tools": [{"type": "web_search"}]},
            MESSAGES: {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]},
        },
    ),
)

OUTPUT: Final = (
    Case(
        title="JSON of a schema",
        said={
            CHAT: {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "place", "schema": _SCHEMA, "strict": True},
                }
            },
            RESPONSES: {
                "text": {"format": {"type": "json_schema", "name": "place", "schema": _SCHEMA, "strict": True}}
            },
            MESSAGES: {"output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}}},
        },
        needles=("city",),
    ),
    Case(
        title="any JSON",
        said={
            CHAT: {"response_format": {"type": "json_object"}},
            RESPONSES: {"text": {"format": {"type": "json_object"}}},
        },
    ),
    Case(
        title="output limit",
        said={CHAT: {"max_tokens": 77}, RESPONSES: {"max_output_tokens": 77}, MESSAGES: {"max_tokens": 77}},
        needles=("77",),
    ),
    Case(title="verbosity", said={CHAT: {"verbosity": "low"}, RESPONSES: {"text": {"verbosity": "low"}}}),
    Case(title="stop sequences", said={CHAT: {"stop": ["END"]}, MESSAGES: {"stop_sequences": ["END"]}}),
    Case(title="several answers", said={CHAT: {"n": 2}}),
    Case(
        title="probabilities",
        said={
            CHAT: {"logprobs": True, "top_logprobs": 2},
            RESPONSES: {"top_logprobs": 2, "include": ["message.output_text.logprobs"]},
        },
    ),
)

REASONING: Final = (
    Case(
        title="effort",
        said={
            CHAT: {"reasoning_effort": "high"},
            RESPONSES: {"reasoning": {"effort": "high"}},
            MESSAGES: {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}, "max_tokens": 8000},
        },
    ),
    Case(
        title="no reasoning",
        said={
            CHAT: {"reasoning_effort": "none"},
            RESPONSES: {"reasoning": {"effort": "none"}},
            MESSAGES: {"thinking": {"type": "disabled"}},
        },
    ),
    Case(
        title="a budget of reasoning",
        said={MESSAGES: {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 8000}},
    ),
    Case(title="a summary of the reasoning", said={RESPONSES: {"reasoning": {"effort": "low", "summary": "auto"}}}),
    Case(
        title="the provider's own earlier reasoning",
        said={
            RESPONSES: {
                "input": [
                    {"role": "user", "content": "Hi"},
                    {
                        "type": "reasoning",
                        "id": "rs_1",
                        "summary": [{"type": "summary_text", "text": "Hm."}],
                        "encrypted_content": "c2VhbA==",
                    },
                    {"role": "assistant", "content": "Hello."},
                    {"role": "user", "content": "Hi"},
                ]
            },
            MESSAGES: {
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "thinking", "thinking": "Hm.", "signature": "c2VhbA=="},
                            {"type": "text", "text": "Hello."},
                        ],
                    },
                    {"role": "user", "content": "Hi"},
                ]
            },
        },
        needles=("Hello.",),
    ),
)

KNOBS: Final = (
    Case(title="temperature", said=_everywhere(temperature=0.5), needles=("0.5",)),
    Case(title="a temperature above 1", said=_only(_everywhere(temperature=1.5), CHAT, RESPONSES)),
    Case(title="top_p", said=_everywhere(top_p=0.25), needles=("0.25",)),
    Case(title="top_k", said=_only(_everywhere(top_k=7), MESSAGES)),
    Case(title="penalties", said=_only(_everywhere(presence_penalty=0.5, frequency_penalty=0.25), CHAT)),
    Case(title="seed", said=_only(_everywhere(seed=7), CHAT)),
    Case(title="biases of tokens", said=_only(_everywhere(logit_bias={"1": 5}), CHAT)),
    Case(
        title="a mark for the prompt cache",
        said=_user(
            [{"type": "text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}}],
            [{"type": "input_text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}}],
            [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}],
        ),
        needles=("Hi",),
    ),
    Case(title="a key for the prompt cache", said=_only(_everywhere(prompt_cache_key="k"), CHAT, RESPONSES)),
    Case(
        title="whom the call is for",
        said={CHAT: {"user": "u1"}, RESPONSES: {"user": "u1"}, MESSAGES: {"metadata": {"user_id": "u1"}}},
        unless_lost=("u1",),
    ),
    Case(title="metadata", said=_only(_everywhere(metadata={"a": "b"}), CHAT, RESPONSES)),
    Case(title="service tier", said=_only(_everywhere(service_tier="flex"), CHAT, RESPONSES)),
    Case(title="a member that is not known here", said=_everywhere(hologram={"depth": 3})),
)


def _in_gemini_too(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    return tuple(
        [
            msgspec.structs.replace(case, said={**case.said, GEMINI: gemini_cases.SAID[case.title]})
            if case.title in gemini_cases.SAID
            else case
            for case in cases
        ]
    )


CHAPTERS: Final = {
    "Content": _in_gemini_too(CONTENT),
    "Tools": _in_gemini_too(TOOLS),
    "Output": _in_gemini_too(OUTPUT),
    "Reasoning": _in_gemini_too(REASONING),
    "Other parameters": _in_gemini_too(KNOBS),
}
