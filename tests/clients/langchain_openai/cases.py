"""LangChain's standard cases with ChatOpenAI, over Chat Completions and over Responses."""

from typing import Any

from kit import given
from langchain_openai import ChatOpenAI
from langchain_standard import run
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestChatOpenAI(ChatModelIntegrationTests):
    """What the class can do, as LangChain's own tests of it say; there is no audio."""

    @property
    def chat_model_class(self) -> Any:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        told = given()
        params: dict[str, Any] = {"model": told.model, "base_url": f"{told.url}/v1", "api_key": told.key}
        return params | {
            "use_responses_api": told.surface == "openai_responses",
            "stream_usage": True,
            "max_tokens": told.limit,
            "max_retries": 0,
        }

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return given().surface == "openai_responses"

    @property
    def supports_pdf_tool_message(self) -> bool:
        return given().surface == "openai_responses"

    @property
    def model_override_value(self) -> str:
        return given().other_model


if __name__ == "__main__":
    run(__file__, *(["-k", "(invoke or stream or batch or conversation) and not override"] if given().embedded else []))
