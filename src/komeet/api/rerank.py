"""`POST /v1/rerank`: Jina's and Cohere's reranking of documents."""

from komeet.api.calls import Surface
from komeet.pipeline.ports import Ports
from komeet.wire.rerank.jina import CALLER

PATH = "/v1/rerank"


def surface(ports: Ports) -> Surface:
    """Return the surface."""
    return Surface(PATH, CALLER, ports)
