"""The small parts of an import: exact numbers, whole weights, what is written."""

from decimal import Decimal
from fractions import Fraction

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from komeet.config.exact import exact_of
from komeet.lab.imports.found import ImportFailed, is_written
from komeet.lab.imports.source import read_json, read_yaml
from komeet.lab.imports.variables import Variables
from komeet.lab.imports.weights import whole
from komeet.lab.imports.write import dumped

amounts = st.decimals(0, 10**6, places=9, allow_nan=False)


@given(st.lists(st.decimals("0.001", 100, places=3), min_size=1, max_size=5))
def test_whole_weights_have_the_same_proportion(weights: list[Decimal]) -> None:
    found = whole(weights, 10**6)
    assert all(1 <= each <= 10**6 for each in found)
    assert {Fraction(each) / Fraction(weight) for each, weight in zip(found, weights, strict=True)} == {
        Fraction(found[0]) / Fraction(weights[0])
    }


@given(st.lists(st.decimals(0, 10**9, places=6), min_size=1, max_size=5), st.integers(1, 1000))
def test_whole_weights_stay_within_their_bound(weights: list[Decimal], most: int) -> None:
    assert all(1 <= each <= most for each in whole(weights, most))


@given(amounts)
def test_an_amount_is_written_so_that_it_is_read_exactly(amount: Decimal) -> None:
    assert exact_of(yaml.safe_load(dumped({"input": amount}))["input"]) == amount


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.25e-06", "0.00000125"), ("0.1", "0.1"), ("1_000.5", "1000.5"), (".5", "0.5"), ("1.10", "1.1")],
)
def test_numbers_are_read_as_they_are_written(text: str, number: str) -> None:
    assert read_yaml(f"a: {text}") == {"a": Decimal(number)}


def test_dates_are_text_and_keys_are_text() -> None:
    assert read_yaml("v: 2024-10-21\n1: a\nfalse: b") == {"v": "2024-10-21", "1": "a", "False": "b"}
    assert read_json('{"a": 0.1}') == {"a": Decimal("0.1")}


def test_mappings_may_be_merged() -> None:
    assert read_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}") == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}


@pytest.mark.parametrize("text", ["a: &a [*a]", "[" * 5000, "!!python/object:os.system {}", "a: *b"])
def test_what_has_no_end_or_is_code_is_refused(text: str) -> None:
    with pytest.raises(ImportFailed):
        read_yaml(text)


def test_json_without_an_end_is_refused() -> None:
    with pytest.raises(ImportFailed):
        read_json("[" * 100_000)


def test_one_secret_has_one_variable_and_no_two_have_the_same() -> None:
    variables = Variables(["A_KEY"])
    assert variables.literal("one", "a-key", "w") == "${A_KEY_2}"
    assert variables.literal("one", "other", "w") == "${A_KEY_2}"
    assert variables.literal("two", "a-key", "w") == "${A_KEY_3}"
    assert variables.literal("three", "3", "w") == "${K_3}"
    assert "one" not in repr(variables.listed())


@pytest.mark.parametrize(
    ("text", "fits"), [("a/b", True), ("${A}", False), ("a\nb", False), (" a", False), ("", False)]
)
def test_what_can_be_written_as_it_is(text: str, fits: bool) -> None:
    assert is_written(text) is fits
