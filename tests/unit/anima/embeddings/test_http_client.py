"""Which variables of the environment a client follows, and that one that is not needed does no harm."""

import ssl
from importlib.util import find_spec

import httpx
import pytest
from pydantic import SecretStr

from anima.assembly import provider_for
from anima.embeddings.fallback import FallbackEmbeddings
from anima.embeddings.http_client import client_of, proxy_of
from anima.embeddings.openai import OpenAIEmbeddings
from anima.embeddings.protocol import EmbeddingSettings
from anima.errors import EmbeddingUnavailable, InvalidInput

OPENAI = httpx.URL("https://api.openai.com/v1/embeddings")
KEY = SecretStr("key")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "ollama.localhost", "[::1]", "0.0.0.0"])
def test_this_machine_is_asked_directly(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.test:1080")
    assert proxy_of(httpx.URL(f"http://{host}:11434/v1")) is None


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p.test:1"}, "http://p.test:1"),
        ({"https_proxy": "p.test:1"}, "http://p.test:1"),
        ({"HTTP_PROXY": "http://p.test:1"}, None),
        ({"ALL_PROXY": "http://p.test:1"}, "http://p.test:1"),
        ({"ALL_PROXY": "http://p.test:1", "HTTPS_PROXY": "http://p.test:2"}, "http://p.test:2"),
        ({"ALL_PROXY": "http://p.test:1", "NO_PROXY": "localhost,.openai.com"}, None),
        ({"ALL_PROXY": "http://p.test:1", "NO_PROXY": "*"}, None),
        ({"ALL_PROXY": "http://p.test:1", "NO_PROXY": "[::1],fd00::/8"}, "http://p.test:1"),
    ],
    ids=str,
)
def test_another_machine_is_asked_through_the_proxy_that_is_named_for_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proxy: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(OPENAI) == proxy
    client_of(OPENAI, proxied=True)


@pytest.mark.parametrize(
    ("name", "value", "url"),
    [
        ("NO_PROXY", "[::1]", OPENAI),
        ("NO_PROXY", "fd00::/8", OPENAI),
        ("REQUESTS_CA_BUNDLE", "/nonexistent", OPENAI),
        ("SSL_CERT_FILE", "/nonexistent", httpx.URL("http://127.0.0.1:8080/v1")),
        ("HTTPS_PROXY", "nonsense://", httpx.URL("https://localhost/v1")),
    ],
)
def test_a_variable_that_is_not_needed_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, url: httpx.URL
) -> None:
    monkeypatch.setenv(name, value)
    client_of(url, proxied=True)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        pytest.param(
            "ALL_PROXY",
            "socks5://user:pass-word@127.0.0.1:1080",
            "the package socksio",
            marks=pytest.mark.skipif(find_spec("socksio") is not None, reason="socksio is installed"),
        ),
        ("HTTPS_PROXY", "nonsense://user:pass-word@127.0.0.1", "Correct HTTPS_PROXY"),
        ("SSL_CERT_FILE", "/nonexistent", r"SSL_CERT_FILE .* \(No such file or directory\)"),
        ("SSL_CERT_FILE", "/dev/null", "SSL_CERT_FILE or SSL_CERT_DIR"),
    ],
)
def test_a_variable_that_is_needed_and_cannot_be_used_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput, match=said) as refusal:
        OpenAIEmbeddings(EmbeddingSettings(openai_key=KEY))
    assert "pass-word" not in str(refusal.value)
    assert "https://api.openai.com/v1/embeddings" in str(refusal.value)


def test_certificates_of_ones_own_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[str] = []
    create = ssl.create_default_context

    def noted(*, cafile: str) -> ssl.SSLContext:
        files.append(cafile)
        return create()

    monkeypatch.setattr(ssl, "create_default_context", noted)
    monkeypatch.setenv("SSL_CERT_FILE", "/own/authority.pem")
    client_of(httpx.URL("https://ollama.test"), proxied=False)
    assert files == ["/own/authority.pem"]


async def test_a_stand_in_that_cannot_be_made_fails_when_it_is_asked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    settings = EmbeddingSettings(ollama_url="http://127.0.0.1:9", openai_key=KEY, attempts=1)
    embeddings = provider_for(settings)
    assert isinstance(embeddings, FallbackEmbeddings)
    assert "OpenAI cannot stand in for ollama: The certificates" in caplog.text
    with pytest.raises(
        EmbeddingUnavailable, match=r"Start it with `ollama serve`.* The certificates that SSL_CERT_FILE"
    ):
        await embeddings.embed("a")
    await embeddings.aclose()
