"""`POST /v1/chat/completions`: OpenAI's Chat Completions."""

from komeet.api.calls import Surface
from komeet.pipeline.ports import Ports
from komeet.wire.openai_chat.format import FORMAT

PATH = "/v1/chat/completions"


def surface(ports: Ports) -> Surface:
    """Return the surface."""
    return Surface(PATH, FORMAT, ports)
