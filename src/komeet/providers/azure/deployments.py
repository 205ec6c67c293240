"""The dated API of Azure OpenAI, which names the deployment in the path and its own version in the query.

The newer one, `/openai/v1`, is OpenAI's with another key header, and needs none of this. Resources that have only the
dated one are asked at `/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21`.
"""

import re
from typing import Final

from msgspec.structs import replace

from komeet.providers.provider import Provider

_VERSION: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}(-preview)?")
_PATH: Final = "/openai/deployments/{model}"
_FORMATS: Final = (
    "openai_chat",
    "openai_embeddings",
    "openai_images",
    "openai_image_edits",
    "openai_speech",
    "openai_transcriptions",
    "openai_translations",
)
"""What it has under a deployment. Responses has the deployment in the body, and is better asked at `/openai/v1`."""


def dated(provider: Provider, version: str) -> Provider:
    """Return the same provider, asked by the dated API.

    Args:
        provider: its address may end in `/openai/v1`, `/openai`, or neither.
        version: such as `2024-10-21`; those in preview end in `-preview`.

    Raises:
        ValueError: it is no version, or the provider has no format left.
    """
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is not a version of Azure OpenAI's API, such as 2024-10-21")
    formats = tuple(name for name in provider.formats if name in _FORMATS)
    if not formats:
        raise ValueError(f"the dated API has {' and '.join(_FORMATS)} only; leave the version out to use /openai/v1")
    return replace(
        provider,
        prefix=provider.prefix.removesuffix("/v1").removesuffix("/openai"),
        formats=formats,
        under=dict.fromkeys(formats, _PATH),
        query=f"api-version={version}",
        health=None,
    )
