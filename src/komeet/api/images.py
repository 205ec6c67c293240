"""`POST /v1/images/generations` and `/v1/images/edits`: OpenAI's pictures."""

from komeet.api.calls import Surface
from komeet.pipeline.ports import Ports
from komeet.wire.media.images import EDITS, GENERATIONS

PATH = "/v1/images/generations"
EDITS_PATH = "/v1/images/edits"


def surface(ports: Ports) -> Surface:
    """Return the surface that makes pictures."""
    return Surface(PATH, GENERATIONS, ports)


def edits(ports: Ports) -> Surface:
    """Return the surface that changes pictures."""
    return Surface(EDITS_PATH, EDITS, ports)
