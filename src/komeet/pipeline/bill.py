"""What an attempt costs: from the provider's own usage, or from a count of ours that is marked as one."""

from komeet.metering.cost import cost
from komeet.pipeline.call import Attempt, Call
from komeet.pipeline.ports import Ports


def price_usage(attempt: Attempt) -> None:
    """Set the cost of the attempt's usage; 0 where no price is known, which its record says."""
    price = attempt.candidate.price
    if price is not None and attempt.usage is not None:
        attempt.cost = cost(attempt.usage, price, tier=attempt.service_tier)


async def estimate_usage(call: Call, attempt: Attempt, ports: Ports) -> None:
    """Count what went in and came out, since the provider did not say; marks the attempt."""
    prompt = call.format.prompt_text(call.known_envelope)
    encoding = attempt.candidate.profile.encoding
    messages = 1 if call.format.kind == "generation" else 0
    attempt.usage = await ports.estimator.estimate(prompt, attempt.output_text, encoding, messages=messages)
    attempt.estimated = True
