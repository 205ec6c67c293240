"""Writes the page about providers from their registry: `python -m komeet.cli.provider_reference`."""

import sys
from importlib.resources import files
from typing import Final

from komeet.catalog import profiles
from komeet.catalog.compile import compile_book
from komeet.cli.known import Counts, count
from komeet.providers.registry import Row, load

_HEAD = """# Providers

<!-- Written by `make docs` from src/komeet/cli/provider_reference.py and src/komeet/providers/registry.toml. -->

A provider is an address that speaks Chat Completions, Responses or Messages, and a key for it. Without a configuration
file, those are there whose variables are set in the environment of `komeet serve`; with a file that has `providers`,
those that it lists, and no others. The embedded model is there either way. `komeet doctor` says who is there, and what
would answer. Callers may speak any of the formats, whatever the provider speaks ([Translation](translation.md)).

## How a model is found

- `openai/gpt-5.2` goes to the provider `openai`, and asks it for `gpt-5.2`. Any name may follow the slash: whether the
  model exists is the provider's to say.
- `gpt-5.2` goes to the first provider that is known to offer it: makers of models, then your own machines, then hosts,
  then aggregators. What a provider offers is the price book's list of its models, or `models` of the configuration.
- A name that nobody is known to offer may be newer than the price book: it goes to the maker whose models are called
  like that (`gpt-9` to `openai`).
- Any other name goes to the first provider that has neither prices in the book nor `models` (Ollama, an address of your
  own): nobody knows what it offers, so it is asked last.

`komeet models` lists what is known. A model without a known price is called all the same: the call is `unpriced`, and
keys with a budget may not make it (nor anybody, with `ledger.unpriced: refuse`); [Prices](pricing.md) says more.

## An address of your own

```yaml
providers:
  - name: my-vllm                       # what stands before the slash
    base_url: http://127.0.0.1:8000/v1  # where its API starts; to another machine: https, or allow_http: true
    api_key: ${MY_VLLM_KEY:-}           # left out, or empty: calls carry no key
    models: ["Qwen/*"]                  # bare names that it takes
    stream_usage: ask                   # the default
    headers: {X-Team: web}              # added to every call
  - name: openai                        # a row of the table below: the rest is known
  - name: corporate-openai
    base_url: https://gateway.example.com/openai/v1
    api_key: ${CORPORATE_KEY:-}
    prices_of: openai                   # what it charges is what the price book says of `openai`
```

```sh
komeet config check komeet.yaml
make serve ARGS="--config komeet.yaml"
```

Another Komeet is an address of your own, too: with `formats: [openai_chat, openai_responses, anthropic_messages]`, it
is asked as its callers ask it.

A row of the table may be given another `base_url` too: a proxy, a region, a private deployment. In a file, it keeps the
row's prices. Found in the environment (`OPENAI_BASE_URL`), an address on another host has none: nobody knows what is
charged there. Every option is in [Configuration](configuration.md#providers).

`stream_usage` says how the tokens of a stream become known:

| value | meaning |
| --- | --- |
| `ask` | it reports them when `stream_options` asks; if it refuses that with 400, it is asked again without |
| `always` | it reports them without being asked |
| `never` | it does not: they are counted here, and the call is marked `estimated` |

## Several keys

```yaml
providers:
  - name: groq
    credentials:                                              # they take turns, here 3 to 1 to 1
      - {name: team-a, weight: 3, env: TEAM_A_GROQ_KEY}       # a variable of the environment
      - {name: team-b, file: /run/secrets/groq}               # read again when it changes
      - {name: vault, command: [vault, kv, get, -field=key, secret/groq], expires_seconds: 900}
```

A `command` is run without a shell, when its key is first needed and again before that expires; meanwhile the old one
is used. It prints the key and nothing else, or JSON: `{"key": "…", "expires": "2026-11-25T12:00:00Z"}`. Each worker
runs it for itself. Where it fails or takes longer than `timeout_seconds`, the old key is used for as long as it is
good; with none, nothing is sent to the provider. One key in a file is `api_key_file`.

## Google Vertex AI

Calls to `vertex` are made for a service account: the key file of one is signed with and exchanged for a token, which is
had again before it expires. That needs `cryptography`: `pip install 'komeet[google]'`. In the environment, it is there
where both `GOOGLE_APPLICATION_CREDENTIALS` and `GOOGLE_CLOUD_LOCATION` are set; or in the file:

```yaml
providers:
  - name: vertex
    google:
      credentials_file: /run/secrets/vertex.json
      project: my-project-123     # default: that of the service account
      location: europe-west4      # default: global
```

Gemini's models are asked in Gemini's format. Those of other publishers are not offered. Credentials of people
(`gcloud auth`), of machines and of other clouds are not read.

## Azure OpenAI

`azure` is asked at `/openai/v1`, with the key in `api-key`; a model is the name of a deployment. Resources that have
only the older, dated API are asked at `/openai/deployments/{model}/chat/completions?api-version=…`, for chat and
embeddings:

```yaml
providers:
  - name: azure
    base_url: https://my-resource.openai.azure.com
    api_key: ${AZURE_OPENAI_API_KEY:-}
    api_version: "2024-10-21"     # default: OPENAI_API_VERSION; without either, /openai/v1
```

## Those that are known

{counts}

The first variable that is set counts. *Prices*: whether the price book has them. *Broken off*: whether a stream that
the caller leaves is billed to its end (`billed`) or no further than it came (`free`), as OpenRouter found as a customer
of theirs ([Stream cancellation](https://openrouter.ai/docs/api-reference/streaming)); `–`: not known. *Health*: what is
asked, at no cost, whether the provider is there; `–`: nothing is known.

GitHub Models is not among them: it was retired on 2026-07-30.

"""

_FOOT = """
## A new row

A provider that speaks a format that Komeet knows is one table in `src/komeet/providers/registry.toml`, made from its
published documentation, and no code:

```toml
[[provider]] # where a fact comes from, if not from the page in `docs`
name = "example"
title = "Example"
base_url = "https://api.example.com/v1"
formats = ["openai_chat"]
family = "example"
key_env = ["EXAMPLE_API_KEY"]
stream_usage = "ask"
rank = 30
docs = "https://docs.example.com"
```

| field | meaning |
| --- | --- |
| `name`, `title` | what stands before the slash; what people call it |
| `base_url` | where its API starts; the format's paths (`/chat/completions`) follow |
| `formats` | the wire formats that it speaks there, the preferred one first |
| `family` | whose lines of `catalog/profiles.toml` say what its models take; who understands its opaque parts |
| `under` | by format: the path between the address and the format's own (`{openai_chat = "/openai"}`) |
| `auth` | `bearer`: it needs a key; `optional`: it takes one where it has one; `aws`: a key, or AWS's signature; \
`service_account`: one of Google's |
| `key_header` | how it is shown the key, where that is not as the format says: `bearer`, `api-key`, `x-api-key` … |
| `dialect` | a table: where it departs from the format that it speaks ([Dialects](dialects.md)) |
| `key_env` | variables that may hold the key |
| `base_url_env`, `host_env` | variables that replace the address, or only its host and port |
| `version_env` | variables that name the version of a dated API |
| `health` | the path at the address of which a GET says that it is there, and costs nothing |
| `cancelled` | a stream that is broken off: `billed`, `free` or `unknown`, as above |
| `price_id` | its name in the price book; left out: what it charges is not known |
| `free` | its tokens cost nothing: it runs on the operator's own machine |
| `free_models` | patterns of the models of which that is so, where it is not so of all |
| `stream_usage` | `ask`, `always` or `never`, as above |
| `rank` | who is asked first for a bare name: makers 10, own machines 20, hosts 30, aggregators 50 |
| `prefixed` | its model ids are `vendor/model` |
| `models` | the models that it offers, where that is a fixed list |
| `headers` | sent with every call |
| `statements` | the formats of its reports of usage and costs, for `komeet reconcile` |
| `litellm` | how the names of its models begin in a configuration of LiteLLM, for `komeet import litellm` |
| `new_api`, `one_api` | the numbers of its type of channel there, and the address of such channels; `""`: `base_url` |
| `embedded` | it is the process of the embedded model |
| `docs` | the page that the row is made from |

`make docs` puts it into the table above, and `make test` checks the row. What a model takes differently (a renamed
limit, parameters that it refuses) is a line in `src/komeet/catalog/profiles.toml`.

The whole change that adds a provider, as a diff; this one is real:

```diff
{diff}
```

A provider with a format of its own is a folder in `src/komeet/wire/`, and a line in `wire/formats.py`
([Architecture](architecture.md)).
"""


_FORMATS: Final = {
    "openai_chat": "Chat",
    "openai_responses": "Responses",
    "anthropic_messages": "Messages",
    "gemini": "Gemini",
    "bedrock_converse": "Converse",
    "cohere_chat": "Cohere",
    "openai_embeddings": "embeddings",
    "mistral_embeddings": "embeddings (Mistral)",
    "gemini_embeddings": "embeddings (Gemini)",
    "cohere_embeddings": "embeddings (Cohere)",
    "titan_embeddings": "embeddings (Titan)",
    "bedrock_cohere_embeddings": "embeddings (Cohere at Bedrock)",
    "openai_moderations": "moderations",
    "mistral_moderations": "moderations (Mistral)",
    "jina_rerank": "reranking",
    "cohere_rerank": "reranking (Cohere)",
    "openai_images": "images",
    "openai_image_edits": "image edits",
    "openai_speech": "speech",
    "openai_transcriptions": "transcriptions",
    "openai_translations": "translations of sound",
}


def page() -> str:
    """Return the page as Markdown."""
    rows = [row for row in load().values() if not row.embedded]
    lines = [
        "| name | provider | variables | address | formats | prices | usage on streams | broken off | health |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    head = _HEAD.replace("{counts}", _counted(count(rows, compile_book(), profiles.load())))
    return head + "\n".join([*lines, *map(_line, rows)]) + "\n" + _FOOT.replace("{diff}", _diff())


def _counted(counts: Counts) -> str:
    return (
        f"{counts.providers} providers. The price book has prices of {counts.priced:,} models of theirs; of"
        f" {counts.profiled:,} of these,\nKomeet knows what they take besides (limits, efforts, parameters). How a"
        " stream is billed that is broken off\nis known of"
        f" {counts.cancelled} providers, and a health check of {counts.health}."
    )


def _diff() -> str:
    """Return the change that adds the shortest of the rows that have prices, as `git diff` would."""
    text = files("komeet.providers").joinpath("registry.toml").read_text("utf-8")
    rows = [part for part in text.split("\n\n") if part.startswith("[[provider]]") and "\nprice_id" in part]
    added = min(rows, key=len).splitlines()
    path = "src/komeet/providers/registry.toml"
    return "\n".join([f"--- a/{path}", f"+++ b/{path}", *(f"+{line}" for line in added)])


def _line(row: Row) -> str:
    variables = ", ".join(f"`{name}`" for name in (*row.host_env, *row.base_url_env, *row.key_env))
    prices = "free" if row.free else "–" if row.price_id is None else "yes"
    formats = ", ".join(_FORMATS[name] for name in row.formats)
    return (
        f"| `{row.name}` | [{row.title}]({row.docs}) | {variables} | `{row.base_url}` | {formats} | {prices} |"
        f" {row.stream_usage} | {'–' if row.cancelled == 'unknown' else row.cancelled} |"
        f" {'–' if row.health is None else f'`{row.health}`'} |"
    )


if __name__ == "__main__":
    sys.stdout.write(page())
