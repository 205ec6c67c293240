"""`POST /v1/responses`: OpenAI's Responses, without a store."""

from komeet.api.calls import Surface
from komeet.pipeline.ports import Ports
from komeet.wire.openai_responses.format import FORMAT

PATH = "/v1/responses"


def surface(ports: Ports) -> Surface:
    """Return the surface."""
    return Surface(PATH, FORMAT, ports)
