"""`POST /v1/embeddings`: OpenAI's embeddings."""

from komeet.api.calls import Surface
from komeet.pipeline.ports import Ports
from komeet.wire.embeddings.openai import CALLER

PATH = "/v1/embeddings"


def surface(ports: Ports) -> Surface:
    """Return the surface."""
    return Surface(PATH, CALLER, ports)
