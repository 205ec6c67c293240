"""A provider whose model does as it is told, in four wire formats."""

import traceback
from dataclasses import replace
from typing import Any

from tests.clients import reading
from tests.clients.model import decide
from tests.whole.speech import Chat, Gemini, Messages, Responses
from tests.whole.upstream import Received, Step, whole

FORMATS = {
    "openai_chat": (reading.chat, Chat),
    "openai_responses": (reading.responses, Responses),
    "anthropic_messages": (reading.messages, Messages),
    "gemini": (reading.gemini, Gemini),
}


class Provider:
    """Answers, and remembers what it could not read."""

    def __init__(self) -> None:
        self.unread: list[str] = []

    def answer(self, request: Received) -> list[Step]:
        """Answer one request as its endpoint does."""
        try:
            return self._answer(request)
        except (AttributeError, KeyError, StopIteration, TypeError, ValueError):
            self.unread.append(f"{request.method} {request.target}: {traceback.format_exc(limit=-2)}")
            return whole({"error": {"message": "The scripted provider could not read this.", "type": "bad"}}, 400)

    def _answer(self, request: Received) -> list[Step]:
        path = request.target.partition("?")[0]
        body: Any = request.json
        if path.endswith("/count_tokens"):
            _, usage = decide(reading.messages({"max_tokens": 1, **body}))
            return whole({"input_tokens": usage[0]})
        if path.endswith(":countTokens"):
            return whole({"totalTokens": 5})
        name = {"completions": "openai_chat", "responses": "openai_responses", "messages": "anthropic_messages"}
        read, write = FORMATS[name.get(path.rpartition("/")[2], "gemini")]
        streams = path.endswith(":streamGenerateContent") or body.get("stream")
        scene, usage = decide(read(body))
        model = body.get("model") or path.rpartition("/")[2].partition(":")[0]
        scene = replace(scene, model=model, form=body.get("text"))
        return write.stream(scene, usage) if streams else whole(write.whole(scene, usage))
