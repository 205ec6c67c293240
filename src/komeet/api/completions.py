"""`POST /v1/completions`: OpenAI's legacy Completions, answered by models of today."""

from komeet.api.calls import Surface
from komeet.pipeline.ports import Ports
from komeet.wire.openai_completions.format import FORMAT

PATH = "/v1/completions"


def surface(ports: Ports) -> Surface:
    """Return the surface."""
    return Surface(PATH, FORMAT, ports)
