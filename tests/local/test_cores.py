"""The cores that the model may use."""

import os
from pathlib import Path

import pytest

from komeet.local.cores import model_threads, usable_cores


@pytest.mark.parametrize(
    ("quota", "most"), [("100000 100000", 1), ("50000 100000", 1), ("10000000 100000", 100), ("max 100000", 10**9)]
)
def test_a_containers_quota_counts(quota: str, most: int, tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota + "\n")
    assert usable_cores(file) == min(most, usable_cores(tmp_path / "none"))


@pytest.mark.parametrize("quota", ["", "max", "a b", "1 0", "1 2 3"])
def test_an_unreadable_quota_is_none(quota: str, tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert usable_cores(file) == usable_cores(tmp_path / "none")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_that_is_pinned_uses_what_it_is_pinned_to(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores(tmp_path / "none") == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (3, 2), (5, 4), (64, 4)])
def test_a_core_is_left_to_the_gateway(cores: int, threads: int) -> None:
    assert model_threads(cores) == threads
