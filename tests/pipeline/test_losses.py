"""Callers choose the names of the fields that they send; a header that names what was left out cannot be forged."""

import pytest

from komeet.canonical.loss import Loss
from komeet.pipeline.answer import loss_header


@pytest.mark.parametrize("name", ["a\r\nset-cookie: x=1", "ä", "", "x" * 65, "a, b", "a\n"])
def test_what_is_no_plain_name_is_not_repeated(name: str) -> None:
    assert loss_header([Loss("top_p", ""), Loss(name, "")]) == b"top_p, (unnamed)"


def test_a_path_is_named_as_it_is() -> None:
    path = "messages[12].content[0].cache_control"
    assert loss_header([Loss(path, "")]) == path.encode()


def test_many_losses_are_counted() -> None:
    header = loss_header([Loss(f"field_{number}", "") for number in range(1000)])
    assert header.startswith(b"field_0, field_1, ")
    assert header.endswith(b", (980 more)")
    assert len(header) < 500
