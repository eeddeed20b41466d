"""The log of operations: what the harness reads, in order, and without what anybody wrote unless asked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anima.errors import InvalidInput
from anima.http.trace_log import TraceLog, TraceLogSettings
from anima.model import BootstrapRequest, NewMemory, Query
from harness.measuring.arrivals import trace


@pytest.fixture
def logged(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Logs three operations and reads the lines as the harness does."""

    def log(*, with_contents: bool) -> list[dict[str, Any]]:
        settings = TraceLogSettings(tmp_path / "trace.jsonl", with_contents)
        settings.create()
        observe = TraceLog(settings)
        observe("add", NewMemory(content="The sea, the SEA!", tags=("blue sea",), is_catalyst=True))
        observe("query", Query(query="the sea", limit=5, conversation_id="test-1"))
        observe("bootstrap", BootstrapRequest(conversation_id="test-1", include_active=False))
        observe.close()
        lines = trace.read(settings.path)
        assert [line.operation for line in lines] == ["add", "query", "bootstrap"]
        assert [line.offset_s for line in lines] == sorted(line.offset_s for line in lines)
        return [line.arguments for line in lines]

    return log


def test_with_contents_a_line_holds_the_fields_that_were_given(logged: Callable[..., list[dict[str, Any]]]) -> None:
    assert logged(with_contents=True) == [
        {"content": "The sea, the SEA!", "tags": ["blue sea"], "is_catalyst": True},
        {"query": "the sea", "limit": 5, "conversation_id": "test-1"},
        {"conversation_id": "test-1", "include_active": False},
    ]


def test_hashed_words_are_equal_where_words_are_and_say_nothing_else(
    logged: Callable[..., list[dict[str, Any]]],
) -> None:
    add, query, bootstrap = logged(with_contents=False)
    assert not {"sea", "blue", "test"} & set(json.dumps([add, query, bootstrap]).lower().replace('"', " ").split())
    the, sea = query["query"].split()
    words = add["content"].replace(",", "").replace("!", "").split()
    assert words[1:3] == [sea, the]
    assert words[3] not in {the, sea}
    assert add["tags"][0].split()[1] == sea
    assert query["conversation_id"] == bootstrap["conversation_id"]
    assert (query["limit"], bootstrap["include_active"], add["is_catalyst"]) == (5, False, True)


def test_two_logs_hash_differently_and_within_the_limits(tmp_path: Path) -> None:
    contents = []
    for name in ("first", "second"):
        settings = TraceLogSettings(tmp_path / name, with_contents=False)
        settings.create()
        log = TraceLog(settings)
        log("add", NewMemory(content="a " * 25_000))
        log.close()
        (line,) = trace.read(settings.path)
        contents.append(NewMemory.parse(**line.arguments).content)
    assert contents[0] != contents[1]


def test_a_log_is_never_continued(tmp_path: Path) -> None:
    settings = TraceLogSettings(tmp_path / "trace.jsonl", with_contents=False)
    settings.create()
    with pytest.raises(InvalidInput, match="does not exist"):
        settings.create()


def test_a_log_that_cannot_be_written_ends_and_fails_no_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = TraceLog(TraceLogSettings(Path("/dev/full"), with_contents=False))
    for _ in range(2):
        log("query", Query(query="the sea"))
    assert [record.message.partition(" ends")[0] for record in caplog.records] == ["the trace log /dev/full"]
