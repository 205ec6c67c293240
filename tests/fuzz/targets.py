"""Every parser that faces the network, as targets of fuzzing."""

from typing import Final

from tests.fuzz.addresses import ADDRESSES
from tests.fuzz.callers import ASKS
from tests.fuzz.documents import JSON
from tests.fuzz.framing import FRAMES, SSE
from tests.fuzz.gateway import GATEWAY
from tests.fuzz.http_client import CLIENT
from tests.fuzz.http_server import SERVER
from tests.fuzz.media import MEDIA
from tests.fuzz.providers import ANSWERS
from tests.fuzz.singles import SINGLES
from tests.fuzz.target import Target

TARGETS: Final[tuple[Target, ...]] = (
    GATEWAY,
    SERVER,
    CLIENT,
    ADDRESSES,
    SSE,
    FRAMES,
    JSON,
    *ASKS,
    SINGLES,
    MEDIA,
    *ANSWERS,
)
