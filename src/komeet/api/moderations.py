"""`POST /v1/moderations`: OpenAI's moderations."""

from komeet.api.calls import Surface
from komeet.pipeline.ports import Ports
from komeet.wire.moderations.openai import CALLER

PATH = "/v1/moderations"


def surface(ports: Ports) -> Surface:
    """Return the surface."""
    return Surface(PATH, CALLER, ports)
