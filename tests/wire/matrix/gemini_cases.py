"""The same features in Gemini's words, by the title of the case."""

from typing import Any, Final

GEMINI: Final = "gemini"
BASE: Final[dict[str, Any]] = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}

_SCHEMA: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_PDF: Final = "JVBERi0xLjQ="
_PNG: Final = "iVBORw0KGgo="
_TOOLS: Final[list[dict[str, Any]]] = [
    {
        "functionDeclarations": [
            {"name": "get_weather", "description": "Tells the weather.", "parametersJsonSchema": _SCHEMA}
        ]
    }
]
_HI: Final = {"role": "user", "parts": [{"text": "Hi"}]}


def _user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": list(parts)}]}


def _config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


def _choice(**fields: Any) -> dict[str, Any]:
    return {"tools": _TOOLS, "toolConfig": {"functionCallingConfig": fields}}


def _history(result: dict[str, Any], *more: dict[str, Any]) -> dict[str, Any]:
    return {
        "tools": _TOOLS,
        "contents": [
            _HI,
            {
                "role": "model",
                "parts": [
                    {"text": "Looking."},
                    {"functionCall": {"id": "call_1", "name": "get_weather", "args": {"city": "Paris"}}},
                    {"functionCall": {"id": "call_2", "name": "get_weather", "args": {"city": "Rome"}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "id": "call_1",
                            "name": "get_weather",
                            "response": result,
                            **({"parts": list(more)} if more else {}),
                        }
                    },
                    {"functionResponse": {"id": "call_2", "name": "get_weather", "response": {"result": "rain"}}},
                ],
            },
        ],
    }


SAID: Final[dict[str, dict[str, Any]]] = {
    "instructions first": {"systemInstruction": {"parts": [{"text": "Be brief."}]}},
    "image by URL": _user({"fileData": {"fileUri": "https://example.com/a.png", "mimeType": "image/png"}}),
    "image in the request": _user({"inlineData": {"mimeType": "image/png", "data": _PNG}}),
    "PDF in the request": _user({"inlineData": {"mimeType": "application/pdf", "data": _PDF, "displayName": "a.pdf"}}),
    "PDF by URL": _user({"fileData": {"fileUri": "https://example.com/a.pdf", "mimeType": "application/pdf"}}),
    "text document": _user({"inlineData": {"mimeType": "text/plain", "data": "T25jZSB1cG9u"}}),
    "sound": _user({"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}),
    "content of a kind that is not known here": _user({"hologram": {"data": "x"}}),
    "functions": {"tools": _TOOLS},
    "two calls at once, and their results": _history({"result": "sun"}),
    "a tool that failed": _history({"error": "no such city"}),
    "an image as a result": _history({"result": "see"}, {"inlineData": {"mimeType": "image/png", "data": _PNG}}),
    "a call must be made": _choice(mode="ANY"),
    "this call must be made": _choice(mode="ANY", allowedFunctionNames=["get_weather"]),
    "no call may be made": _choice(mode="NONE"),
    "the provider's web search": {"tools": [{"googleSearch": {}}]},
    "JSON of a schema": _config(responseMimeType="application/json", responseJsonSchema=_SCHEMA),
    "any JSON": _config(responseMimeType="application/json"),
    "output limit": _config(maxOutputTokens=77),
    "stop sequences": _config(stopSequences=["END"]),
    "several answers": _config(candidateCount=2),
    "probabilities": _config(responseLogprobs=True, logprobs=2),
    "effort": _config(thinkingConfig={"thinkingLevel": "HIGH"}),
    "no reasoning": _config(thinkingConfig={"thinkingBudget": 0}),
    "a budget of reasoning": _config(thinkingConfig={"thinkingBudget": 2048}, maxOutputTokens=8000),
    "a summary of the reasoning": _config(thinkingConfig={"includeThoughts": True}),
    "the provider's own earlier reasoning": {
        "contents": [
            _HI,
            {
                "role": "model",
                "parts": [{"text": "Hm.", "thought": True}, {"text": "Hello.", "thoughtSignature": "c2VhbA=="}],
            },
            _HI,
        ]
    },
    "temperature": _config(temperature=0.5),
    "a temperature above 1": _config(temperature=1.5),
    "top_p": _config(topP=0.25),
    "top_k": _config(topK=7),
    "penalties": _config(presencePenalty=0.5, frequencyPenalty=0.25),
    "seed": _config(seed=7),
    "metadata": {"labels": {"a": "b"}},
    "service tier": {"serviceTier": "flex"},
    "a member that is not known here": {"hologram": {"depth": 3}},
}
"""What Gemini cannot say has no line."""
