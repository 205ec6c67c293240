"""The guide, as it is written, against a running Komeet with its configurations: each block prints what it says."""

import shlex
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.docs.guide import PAGE, Block, Ran, Reader, agrees, blocks, configuration
from tests.docs.guide_model import GuideModel
from tests.whole.gateway import Gateway
from tests.whole.upstream import Upstream

from komeet.config.load import parse

pytestmark = pytest.mark.timeout(600)  # the first test waits for the whole page

BLOCKS = blocks(PAGE.read_text("utf-8"))
COMET = [{"role": "user", "content": "What is a comet?"}]
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
    assert {block.language for block in BLOCKS} <= {"yaml", "sh", "python", "text"}
    assert {block.section for block in BLOCKS} == {"1", "2", "3", "4", "5", "6", "7", "8"}
    assert "```" not in "".join(block.text + block.expected for block in BLOCKS)
    assert PAGE.read_text("utf-8").count("```") == 2 * sum(1 + bool(block.expected) for block in BLOCKS)


@pytest.mark.parametrize("block", [pytest.param(one, id=one.name) for one in BLOCKS if one.language == "yaml"])
def test_a_configuration_is_one(block: Block) -> None:
    assert parse(block.text, {}) != parse("{}", {})


@pytest.mark.slow
@pytest.mark.parametrize("block", RUN)
def test_a_block_runs_and_prints_what_the_page_says(followed: Followed, block: Block) -> None:
    ran = followed.ran[block.number]
    assert ran.status == 0, ran.complained
    assert agrees(block.expected, ran.printed), f"it printed:\n{ran.printed}\n{ran.complained}"


@pytest.mark.slow
def test_the_provider_understood_every_call(followed: Followed) -> None:
    assert followed.model.puzzled == []


@pytest.mark.slow
def test_effort_reaches_both_vendors(followed: Followed) -> None:
    primes = [body for body in followed.model.bodies if "8051" in str(body.get("messages"))]
    efforts = [body["reasoning_effort"] for body in primes if body["model"] == "gpt-5.2"]
    assert efforts == ["none", "low", "high", "xhigh", "high"]
    (claude,) = [body for body in primes if body["model"] == "claude-opus-4-5"]
    assert claude["thinking"]["type"] == "enabled"
    assert 1024 <= claude["thinking"]["budget_tokens"] < 0.6 * claude["max_tokens"], "an answer has no room"
    assert "temperature" not in claude


@pytest.mark.slow
def test_what_the_model_is_told_is_told_to_it(followed: Followed) -> None:
    sent = [str(body) for body in followed.model.bodies]
    assert any("does not match" in body and "A100" in body for body in sent), "the tool's mistake"
    assert any("Put this right" in body and "is not a" in body for body in sent), "the mistake in the JSON"
    forms = [body for body in followed.model.bodies if "response_format" in body]
    assert [(body["temperature"], body["response_format"]["json_schema"]["strict"]) for body in forms] == [
        (0, True)
    ] * 2
    assert {body["model"] for body in followed.model.bodies if body.get("prompt_cache_key") == "handbook"} == {
        "gpt-5.2"
    }


@pytest.mark.slow
def test_routine_work_goes_to_a_small_model_and_tools_do_not(followed: Followed) -> None:
    small = followed.gateway.chat(model="auto", messages=COMET)
    assert small.status == 200
    assert followed.model.bodies[-1]["model"] == "gpt-5-mini"
    assert {body["model"] for body in followed.model.bodies if "tools" in body} == {"gpt-5.2"}


@pytest.mark.slow
def test_a_partner_is_charged_a_fifth_less(followed: Followed) -> None:
    partner = followed.gateway.create_key("partner", "--tag", "partner")
    mine, theirs = (
        Decimal(followed.gateway.chat(key, model="openai/gpt-5.2", messages=COMET).headers["x-komeet-cost"])
        for key in (None, partner)
    )
    assert theirs == mine * Decimal("0.8")


@pytest.mark.slow
def test_a_fine_tuned_model_has_the_price_of_the_page(followed: Followed) -> None:
    answer = followed.gateway.chat(model="openai/ft:gpt-4.1-mini:acme::1", messages=COMET)
    used = answer.json["usage"]
    cost = Decimal("0.80") * used["prompt_tokens"] + Decimal("3.20") * used["completion_tokens"]
    assert Decimal(answer.headers["x-komeet-cost"]) == cost / 1_000_000


@pytest.mark.slow
def test_the_budget_is_the_one_of_the_page(followed: Followed) -> None:
    key = followed.gateway.create_key("poor", "--budget", "0.000001", "--tag", "ci")
    before = len(followed.model.bodies)
    assert followed.gateway.chat(key).status == 402
    assert len(followed.model.bodies) == before


@pytest.mark.slow
def test_the_key_for_ci_may_use_the_routes_and_is_counted_by_its_tag(followed: Followed) -> None:
    (created,) = [block.text for block in BLOCKS if "--name ci " in block.text]
    options = shlex.split(created.splitlines()[0])[3:]
    key = followed.gateway.create_key(*options[1:])
    for model in ("instant", "thinking", "auto"):
        answer = followed.gateway.chat(key, model=model, messages=COMET)
        assert (answer.status, answer.headers["x-komeet-provider"]) == (200, "openai")
        followed.gateway.outcome(answer.headers["x-request-id"])
    assert followed.gateway.chat(key, model="anthropic/claude-opus-4-5", messages=COMET).status == 403
    assert [row["calls"] for row in followed.gateway.usage("--by", "tag") if row["tag"] == "ci"] == [3]


@pytest.mark.slow
def test_there_is_no_endpoint_for_batches(followed: Followed) -> None:
    assert followed.gateway.request("POST", "/v1/batches", b"{}").status == 404


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\n", "a \n", True),
        ("a … c\n", "a b c\n", True),
        ("…\n", "", True),
        ("", "", True),
        ("", "a\n", False),
        ("a\n", "a\nb\n", False),
        ("a … c\n", "a b d\n", False),
        ("a.c\n", "abc\n", False),
    ],
)
def test_what_is_printed_is_compared(expected: str, printed: str, same: bool) -> None:
    assert agrees(expected, printed) is same


def test_an_output_belongs_to_the_block_right_before_it() -> None:
    page = "## 1. A\n```sh\na\n```\n\n```text\nb\n```\nAnd\n```text\nc\n```\n## 2. B\n```python\nd\n```\n"
    found = [(block.section, block.language, block.text, block.expected) for block in blocks(page)]
    assert found == [("1", "sh", "a\n", "b\n"), ("1", "text", "c\n", ""), ("2", "python", "d\n", "")]
