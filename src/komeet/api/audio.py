"""`POST /v1/audio/speech`, `/v1/audio/transcriptions` and `/v1/audio/translations`: OpenAI's sound."""

from komeet.api.calls import Surface
from komeet.pipeline.ports import Ports
from komeet.wire.media.speech import SPEECH
from komeet.wire.media.transcription import TRANSCRIPTIONS, TRANSLATIONS

PATH = "/v1/audio/speech"
TRANSCRIPTIONS_PATH = "/v1/audio/transcriptions"
TRANSLATIONS_PATH = "/v1/audio/translations"


def surface(ports: Ports) -> Surface:
    """Return the surface that reads texts aloud."""
    return Surface(PATH, SPEECH, ports)


def written(ports: Ports) -> tuple[Surface, Surface]:
    """Return the surfaces that write down what is said: in its language, and in English."""
    return Surface(TRANSCRIPTIONS_PATH, TRANSCRIPTIONS, ports), Surface(TRANSLATIONS_PATH, TRANSLATIONS, ports)
