"""Every recorded call that reports usage, priced here and by the library that the prices come from."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final
from urllib.parse import unquote

import msgspec
from genai_prices import data_snapshot, types
from msgspec import Raw, Struct
from tests.wire.recordings import Recording, load
from tests.wire.recordings_page import format_of

from komeet.canonical.fold import fold
from komeet.canonical.response import Response
from komeet.canonical.usage import Usage
from komeet.catalog.book import Book
from komeet.core.errors import UpstreamError
from komeet.metering.cost import cost
from komeet.wire.bedrock_converse.format import FORMAT as BEDROCK_CONVERSE
from komeet.wire.cohere_chat.format import FORMAT as COHERE_CHAT
from komeet.wire.format import Target
from komeet.wire.formats import BOTH_ROLES

AT: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
"""At these prices everything is compared, whenever it was recorded."""
_SPOKEN: Final[Mapping[str, Target]] = {
    "Chat Completions": BOTH_ROLES["openai_chat"],
    "Responses": BOTH_ROLES["openai_responses"],
    "Messages": BOTH_ROLES["anthropic_messages"],
    "Gemini": BOTH_ROLES["gemini"],
    "Converse": BEDROCK_CONVERSE,
    "Cohere's chat": COHERE_CHAT,
}
_SOLD_BY: Final[Mapping[str, str]] = {
    "api.anthropic.com": "anthropic",
    "azuredatabricks.net": "databricks",
    "azure.com": "azure",
    "amazonaws.com": "aws",
    "api.cerebras.ai": "cerebras",
    "api.cloudflare.com": "cloudflare",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "googleapis.com": "google",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.openai.com": "openai",
    "openrouter.ai": "openrouter",
    "api.z.ai": "zai",
    "router.huggingface.co/together": "huggingface_together",
    "router.huggingface.co/nebius": "huggingface_nebius",
}
"""The price book's name for who answers at a host; others are not in it."""


class Priced(Struct, frozen=True, kw_only=True):
    """One recorded call, and what it costs."""

    name: str
    spoken: str
    price_id: str
    model: str
    usage: Usage
    tier: str | None
    ours: int | None
    """Nano-dollars; None: no price is known."""
    theirs: int | None


def every(book: Book) -> Iterator[Priced]:
    """Yield every recorded call that reports usage, in the order of the files."""
    for recording in load(lambda each: bool(format_of(each)) and each.status < 400):
        spoken = format_of(recording)
        told = _embedded(recording) if spoken == "embeddings" else _generated(recording, _SPOKEN[spoken])
        if told is None:
            continue
        usage, tier = told
        price_id = next((name for host, name in _SOLD_BY.items() if host in recording.url), "")
        model = _asked(recording)
        yield Priced(
            name=recording.name,
            spoken=spoken,
            price_id=price_id,
            model=model,
            usage=usage,
            tier=tier,
            ours=_ours(book, price_id, model, usage, tier),
            theirs=_theirs(price_id, model, usage, tier),
        )


def in_library(usage: Usage) -> types.Usage:
    """Return the usage in the library's words."""
    return types.Usage(
        input_tokens=usage.input,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        cache_write_1h_tokens=usage.cache_write_1h,
        input_audio_tokens=usage.input_audio,
        cache_audio_read_tokens=usage.cache_read_audio,
        input_image_tokens=usage.input_image,
        cache_image_read_tokens=usage.cache_read_image,
        output_tokens=usage.output,
        output_reasoning_tokens=usage.reasoning,
        output_audio_tokens=usage.output_audio,
        output_image_tokens=usage.output_image,
        web_searches=usage.web_searches,
        storage_searches=usage.storage_searches,
    )


def nano(dollars: Decimal) -> int:
    """Round a decimal to nano-dollars as the ledger does: once, half to even."""
    return int((dollars * 10**9).to_integral_value(ROUND_HALF_EVEN))


def context_of(tier: str | None) -> dict[str, str] | None:
    """Return what selects a tier's prices in the library."""
    return None if tier is None else {"processing": "batch"} if tier == "batch" else {"service_tier": tier}


def _generated(recording: Recording, target: Target) -> tuple[Usage, str | None] | None:
    try:
        response = _streamed(recording, target) if is_stream(recording) else target.parse_response(recording.body)
    except UpstreamError:
        return None
    return None if response.usage is None else (response.usage, response.service_tier)


def is_stream(recording: Recording) -> bool:
    return recording.streamed or recording.encoding == "base64"


def _streamed(recording: Recording, target: Target) -> Response:
    framing, parser = target.framing(), target.stream_parser()
    events = [event for said in framing.feed(recording.body + b"\n\n") for event in parser.feed(said)]
    return fold([*events, *parser.end()])


def _embedded(recording: Recording) -> tuple[Usage, str | None] | None:
    told = msgspec.json.decode(recording.body, type=dict[str, Raw]).get("usage")
    counts = {} if told is None else msgspec.json.decode(told, type=dict[str, int])
    return (Usage(input=counts["prompt_tokens"]), None) if counts else None


def _asked(recording: Recording) -> str:
    """Return the model as the provider was asked for it, or as it says itself where the request is not on record."""
    for sign, ends in (("/models/", ":"), ("/model/", "/")):
        if sign in recording.path:
            return unquote(recording.path.split(sign)[1].split(ends)[0])
    said = recording.request if bytes(recording.request).startswith(b"{") else recording.response  # a body was not kept
    return msgspec.json.decode(msgspec.json.decode(said, type=dict[str, Raw])["model"], type=str)


def _ours(book: Book, price_id: str, model: str, usage: Usage, tier: str | None) -> int | None:
    price = book.find(price_id, model, at=round(AT.timestamp() * 1000), answers=usage.output > 0)
    return None if price is None else cost(usage, price, tier=tier)


def _theirs(price_id: str, model: str, usage: Usage, tier: str | None) -> int | None:
    providers = data_snapshot.get_snapshot().providers
    provider = next((each for each in providers if each.id == price_id), None)
    found = None if provider is None else provider.find_model(model, all_providers=providers)
    if provider is None or found is None or not _is_priced(found):
        return None
    calculated = found.calc_price(
        in_library(usage), provider, genai_request_timestamp=AT, price_context=context_of(tier)
    )
    return nano(calculated.total_price)


def _is_priced(model: types.ModelInfo) -> bool:
    """Whether the library says what it costs; what is free it lists without prices, as what is not known."""
    return model.id.endswith(":free") or any(amount is not None for amount in vars(model.get_prices(AT)).values())
