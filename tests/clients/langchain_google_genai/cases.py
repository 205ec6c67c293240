"""LangChain's standard cases with ChatGoogleGenerativeAI."""

from typing import Any

from kit import given
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_standard import run
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestChatGoogleGenerativeAI(ChatModelIntegrationTests):
    """What the class can do, as LangChain's own tests of it say; there is no audio."""

    @property
    def chat_model_class(self) -> Any:
        return ChatGoogleGenerativeAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        told = given()
        params: dict[str, Any] = {"model": told.model, "base_url": told.url, "google_api_key": told.key}
        return params | {"max_tokens": told.limit, "max_retries": 1}

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return False  # the class fetches the picture itself

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return False  # the class hands the member to its library, which knows no such thing


if __name__ == "__main__":
    run(__file__, *(["-k", "(invoke or stream or batch or conversation) and not override"] if given().embedded else []))
