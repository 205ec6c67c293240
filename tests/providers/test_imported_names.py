"""What rows are called in the configurations of other gateways: each name is of one row."""

import pytest

from komeet.providers import registry
from komeet.providers.address import parse_base_url

ROWS = registry.load()


def test_no_two_rows_share_a_prefix() -> None:
    prefixes = [prefix for row in ROWS.values() for prefix in row.litellm]
    assert len(prefixes) == len(set(prefixes)) >= 60
    assert not [prefix for prefix in prefixes if prefix.endswith("/") or prefix != prefix.strip()]


@pytest.mark.parametrize("field", ["new_api", "one_api"])
def test_no_two_rows_share_a_type_of_channel_and_their_addresses_can_be_asked(field: str) -> None:
    types: list[dict[int, str]] = [getattr(row, field) for row in ROWS.values()]
    numbers = [number for each in types for number in each]
    assert len(numbers) == len(set(numbers)) >= 18
    for address in (address for each in types for address in each.values() if address):
        origin, path = parse_base_url(address)
        assert (origin.scheme, bool(path)) == ("https", True)
