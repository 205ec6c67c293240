"""Keys in the configuration: several of one provider, wherever they are, and none of them ever shown."""

from pathlib import Path

import pytest

from komeet.config.load import ConfigError, parse
from komeet.config.providers import find
from komeet.core.secrets import Secret
from komeet.providers.credential import Credential, FromCommand, FromFile
from komeet.providers.provider import Provider

SEVERAL = """
providers:
  - name: groq
    credentials:
      - {name: team-a, weight: 3, env: TEAM_A}
      - {file: FILE}
      - {command: [vault, read, -field=key, secret/groq], timeout_seconds: 5, expires_seconds: 60}
      - {name: last, api_key: "${TEAM_B}"}
"""
KEYS = {"TEAM_A": " canary-a\n", "TEAM_B": "canary-b"}


def found(text: str, environment: dict[str, str]) -> Provider:
    (provider,) = find(parse(f"{text}\nembedded: {{enabled: false}}", environment), environment).providers
    return provider


def test_several_keys_from_several_places(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("canary-c\n")
    provider = found(SEVERAL.replace("FILE", str(file)), KEYS)
    assert provider.credentials == (
        Credential(name="team-a", weight=3, secret=Secret("canary-a")),
        Credential(name="2", secret=Secret("canary-c"), source=FromFile(path=str(file))),
        Credential(
            name="3",
            source=FromCommand(argv=("vault", "read", "-field=key", "secret/groq"), timeout=5.0, expires=60.0),
        ),
        Credential(name="last", secret=Secret("canary-b")),
    )
    assert provider.credential == Secret("canary-a")
    assert "canary" not in repr(provider)
    assert provider.price_id == "groq"


def test_one_key_is_one_credential(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("canary-c\n")
    assert found("providers: [{name: groq}]", {"GROQ_API_KEY": "k"}).credentials == (Credential(secret=Secret("k")),)
    assert found("", {"GROQ_API_KEY": "k"}).credentials == (Credential(secret=Secret("k")),)
    (one,) = found(f"providers: [{{name: groq, api_key_file: {file}}}]", {}).credentials
    assert one == Credential(secret=Secret("canary-c"), source=FromFile(path=str(file)))
    assert found("providers: [{name: mine, base_url: 'https://h/v1', api_key: ''}]", {}).credentials == ()


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        ("[{name: a}]", "credentials[0]: give one of env, file, command and api_key"),
        ("[{env: TEAM_A, file: /x}]", "credentials[0]: give one of env, file, command and api_key, not env and file"),
        ("[{env: NOBODY}]", "credentials[0]: env: NOBODY is not set"),
        ("[{file: /nonexistent}]", "credentials[0]: file: /nonexistent: No such file"),
        ("[{command: []}]", "credentials[0].command"),
        ("[{command: ['']}]", "credentials[0]: command: an argument is empty"),
        ("[{command: 'vault read'}]", "credentials[0].command: expected array"),
        ("[{env: TEAM_A, weight: 0}]", "credentials[0].weight"),
        ("[{name: a, env: TEAM_A}, {name: a, env: TEAM_B}]", "credentials[1].name: there are two of the name a"),
        ("[{name: '2', env: TEAM_A}, {env: TEAM_B}]", "credentials[1].name: there are two of the name 2"),
        ("[{api_key: 'canary x'}]", "credentials[0]: a key is printable ASCII"),
        (
            "[{env: TEAM_A}], api_key: canary",
            "providers[0].credentials: give one key (api_key, api_key_file) or several",
        ),
    ],
)
def test_what_cannot_be_used_is_named_by_its_path_and_not_shown(credentials: str, message: str) -> None:
    text = f"providers: [{{name: groq, credentials: {credentials}}}]"
    with pytest.raises(ConfigError) as refused:
        find(parse(text, KEYS), KEYS)
    assert message in str(refused.value)
    assert "canary" not in str(refused.value)


def test_no_key_of_several_goes_in_the_clear() -> None:
    text = "providers: [{name: groq, base_url: 'http://h.example/v1', credentials: [{env: TEAM_A}]}]"
    with pytest.raises(ConfigError, match="https"):
        find(parse(text, KEYS), KEYS)


# ------------------------------------------------------------------ Azure's dated API


def test_azure_is_asked_by_deployment_where_a_version_is_named() -> None:
    text = "providers: [{name: azure, api_key: k, base_url: 'https://r.openai.azure.com'%s}]"
    provider = found(text % ", api_version: '2024-10-21'", {})
    assert (provider.prefix, provider.query) == ("", "api-version=2024-10-21")
    assert provider.under["openai_chat"] == "/openai/deployments/{model}"
    assert found(text % "", {"OPENAI_API_VERSION": "2024-10-21"}).query == "api-version=2024-10-21"
    with pytest.raises(ConfigError, match=r"providers\[0\]\.api_version: 'v1' is not a version"):
        found(text % ", api_version: v1", {})
    with pytest.raises(ConfigError, match=r"providers\[0\]\.api_version: groq has no dated API"):
        found("providers: [{name: groq, api_key: k, api_version: '2024-10-21'}]", {})


# ------------------------------------------------------------------ Google's service accounts


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.providers.test_requests import account_file  # noqa: PLC0415 - it loads much

    return account_file(tmp_path_factory.mktemp("account") / "account.json")


def test_vertex_is_found_by_googles_own_variables_where_both_are_set(account: Path) -> None:
    file = {"GOOGLE_APPLICATION_CREDENTIALS": str(account)}
    assert find(parse("embedded: {enabled: false}", {}), file).providers == ()
    provider = found("", file | {"GOOGLE_CLOUD_LOCATION": "europe-west4"})
    assert provider.name == "vertex"
    assert provider.origin.host == "europe-west4-aiplatform.googleapis.com"
    assert provider.prefix == "/v1/projects/my-project-123/locations/europe-west4/publishers/google"
    assert provider.credential is None
    assert "PRIVATE KEY" not in repr(provider)


def test_vertex_in_the_file_may_be_in_another_project(account: Path) -> None:
    text = f"providers: [{{name: vertex, google: {{credentials_file: {account}, project: other-project}}}}]"
    provider = found(text, {})
    assert provider.origin.host == "aiplatform.googleapis.com"
    assert provider.prefix == "/v1/projects/other-project/locations/global/publishers/google"
    assert found(text, {"GOOGLE_CLOUD_PROJECT": "third-project"}).prefix == provider.prefix


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: vertex}", "providers[0].google.credentials_file: vertex is asked by a service account"),
        ("{name: vertex, api_key: k}", "providers[0].google: vertex takes a service account, and no key"),
        ("{name: vertex, google: {credentials_file: /nonexistent}}", "google: credentials_file: /nonexistent: No such"),
        ("{name: vertex, google: {credentials_file: HERE, location: 'a/b'}}", "google: 'a/b' is not a location"),
        (
            "{name: vertex, google: {credentials_file: HERE, project: 'a/b'}}",
            "google: 'a/b' is not the id of a project",
        ),
        ("{name: groq, api_key: k, google: {}}", "providers[0].google: groq takes no service account"),
        ("{name: groq, api_key: k, aws: {}}", "providers[0].aws: groq is not a service of AWS"),
    ],
)
def test_what_vertex_lacks_is_named(text: str, message: str, account: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        find(parse(f"providers: [{text.replace('HERE', str(account))}]", {}), {})
    assert message in str(refused.value)


def test_a_file_that_is_no_service_account_is_named_by_its_variable(tmp_path: Path) -> None:
    file = tmp_path / "adc.json"
    file.write_text('{"type": "authorized_user", "refresh_token": "canary"}')
    environment = {"GOOGLE_APPLICATION_CREDENTIALS": str(file), "GOOGLE_CLOUD_LOCATION": "global"}
    with pytest.raises(ConfigError, match=r"vertex: GOOGLE_APPLICATION_CREDENTIALS: .*authorized_user") as refused:
        find(parse("", {}), environment)
    assert "canary" not in str(refused.value)
