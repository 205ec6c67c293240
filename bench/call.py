"""The call that is measured, its answer, and the check that a gateway hands the answer on."""

import http.client
import json
from typing import Any

PATH = "/v1/chat/completions"
MODEL = "gpt-5.2"
TOKENS = 100
"""Of a streamed answer."""
EVENTS_AROUND = 4
"""Besides its tokens, a streamed answer has a first event (the role), a finish, a usage, and [DONE]."""

_TEXT = (
    "Linear regression predicts a continuous outcome; logistic regression predicts the probability of a class. "
) * 3

ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1763800000,
        "model": "gpt-5.2-2025-12-11",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": _TEXT, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 46,
            "completion_tokens": 61,
            "total_tokens": 107,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": None,
    }
)


class WrongAnswer(Exception):
    """A gateway did not hand the upstream's answer on: nothing that it costs means anything."""


def question(*, stream: bool, tokens: int = TOKENS) -> str:
    """Return the body of the call; a streamed one asks, in words, for `tokens` tokens, which the upstream obeys."""
    content = (
        "Summarise in bullet points the differences between linear and logistic regression. Give formulas, "
        "assumptions, typical uses, and one example for each; finish with advice on which to choose."
    )
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You are a concise assistant who answers like an expert data analyst."},
            {"role": "user", "content": content + (f" Answer in {tokens} tokens." if stream else "")},
        ],
        "max_tokens": 300,
        "temperature": 0.0,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body)


def check(port: int, key: str, *, stream: bool) -> None:
    """Make one call; raises WrongAnswer unless it gets the upstream's answer, and a wrong key is refused."""
    status, body = _post(port, key, stream=stream)
    if status != 200:
        raise WrongAnswer(f"Port {port} answered {status}: {body[:500]}")
    if stream:
        events = body.count("\n\n")
        if events != TOKENS + EVENTS_AROUND or not body.endswith("data: [DONE]\n\n"):
            raise WrongAnswer(
                f"Port {port} sent {events} events, not {TOKENS + EVENTS_AROUND}, or no [DONE]: {body[-500:]}"
            )
    elif json.loads(body) != json.loads(ANSWER):
        raise WrongAnswer(f"Port {port} changed the answer: {body[:500]}")
    refused, _ = _post(port, "wrong", stream=stream)
    if refused != 401:
        raise WrongAnswer(f"Port {port} answered {refused} to a wrong key: without a key check it does less work")


def _post(port: int, key: str, *, stream: bool) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        connection.request("POST", PATH, question(stream=stream), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
