"""The guide, as it is written, against a running Komeet with its configurations: each block runs, and prints what it says.

To see what blocks print now: `python -m tests.docs.test_guide` is not needed, a failing test shows it.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.guide import PAGE, Block, Ran, Reader, agrees, blocks, configuration
from tests.docs.guide_model import GuideModel
from tests.whole.gateway import Gateway
from tests.whole.upstream import Upstream

from komeet.config.load import parse

BLOCKS = blocks(PAGE.read_text("utf-8"))
RUN = [pytest.param(block, id=block.name) for block in BLOCKS if block.language in {"sh", "python"}]


class Followed:
    """The page, after somebody did all of it."""

    def __init__(self, gateway: Gateway, model: GuideModel, ran: dict[int, Ran]) -> None:
        self.gateway = gateway
        self.model = model
        self.ran = ran


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("no curl or no bash here")
    folder: Path = tmp_path_factory.mktemp("guide")
    model = GuideModel()
    with Upstream(answer=model.answer) as upstream:
        keys = {"OPENAI_API_KEY": "sk-upstream-canary", "ANTHROPIC_API_KEY": "sk-upstream-canary"}
        with Gateway(folder / "komeet", configuration(BLOCKS, upstream.url), keys) as gateway:
            reader = Reader(gateway, folder / "reader")
            ran = {block.number: done for block, done in reader.follow(BLOCKS)}
            yield Followed(gateway, model, ran)


def test_nothing_on_the_page_is_left_unrun() -> None:
    assert {block.language for block in BLOCKS} == {"yaml", "sh", "python"}


@pytest.mark.parametrize("block", [pytest.param(one, id=one.name) for one in BLOCKS if one.language == "yaml"])
def test_a_configuration_is_one(block: Block) -> None:
    assert parse(block.text, {}) != parse("{}", {})


@pytest.mark.slow
@pytest.mark.parametrize("block", RUN)
def test_a_block_runs_and_prints_what_the_page_says(followed: Followed, block: Block) -> None:
    ran = followed.ran[block.number]
    assert ran.status == 0, ran.complained
    assert agrees(block.expected, ran.printed), f"it printed:\n{ran.printed}\n{ran.complained}"
