"""Files that users bring: what is read, what is dropped, and what is said about a line that cannot be used."""

import json
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.measuring.targets.anima.corpora._shared import lines
from harness.measuring.targets.anima.corpora.file import FileCorpus, FileSettings
from harness.measuring.targets.anima.corpora.protocol import CorpusMemory, CorpusQuery


def corpus(memories: Path, size: int = 1, queries: Path | None = None) -> FileCorpus:
    return FileCorpus(FileSettings(size=size, memories_path=memories, queries_path=queries))


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_text("".join(f"Note {number} about the garden in {1900 + number}\n" for number in range(10)))
    return path


def written(directory: Path, content: bytes, name: str = "memories.jsonl") -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


def test_json_lines_bring_the_fields_of_an_add_and_others_are_ignored(tmp_path: Path) -> None:
    full = {
        "id": 7,
        "at": "8 May",
        "content": "Met Nora",
        "category": "friends",
        "tags": ["nora"],
        "source": "chat",
        "is_catalyst": True,
    }
    bare = {"content": " kept as it is ", "category": None, "tags": None, "source": None, "is_catalyst": None}
    path = written(tmp_path, "\n".join(map(json.dumps, (full, bare))).encode())
    assert corpus(path).memories(2) == (
        CorpusMemory("Met Nora", "friends", ("nora",), "chat", is_catalyst=True),
        CorpusMemory(" kept as it is "),
    )


def test_plain_text_is_a_memory_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbf one \r\n\r\n  \n{two}\n", "memories.txt")
    assert [memory.content for memory in corpus(path).memories(2)] == ["one", "{two}"]


def test_json_lines_may_have_a_byte_order_mark_blank_lines_and_no_last_newline(tmp_path: Path) -> None:
    path = written(tmp_path, b'\xef\xbb\xbf{"content": "a"}\r\n\n{"content": "b"}')
    assert [memory.content for memory in corpus(path).memories(2)] == ["a", "b"]


def test_repeats_are_dropped_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, b"a\nb\na\na\nc\n", "memories.txt")
    notes = corpus(path)
    assert [memory.content for memory in notes.memories(3)] == ["a", "b", "c"]
    assert notes.repeats == 2


def test_new_memories_are_those_after_the_loaded_ones(notes: Path) -> None:
    assert corpus(notes, size=6).new_memories(2) == corpus(notes, size=8).memories(8)[6:]


def test_too_few_memories_to_load_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, b"a\nb\na\n", "memories.txt")
    message = r"holds 2 distinct memories \(1 repeats dropped\) of the 3 to load. Lower `corpus.size`"
    with pytest.raises(UsageError, match=message):
        FileSettings(size=3, memories_path=path).open()


def test_too_few_memories_to_add_are_told_from_the_loaded_ones(notes: Path) -> None:
    message = r"holds 10 distinct memories: 8 are loaded before the run \(`corpus.size`\), and 5 others are needed"
    with pytest.raises(UsageError, match=message):
        corpus(notes, size=8).new_memories(5)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"nope", "it is not JSON: expected ident at column 2; each line has to be an object of its own"),
        (b'{"content": "cut', "it is not JSON: EOF while parsing a string at column 16"),
        (b"[", "it is not JSON: EOF while parsing a list"),
        (b'["a"]', "it is not a JSON object"),
        (b"null", "it is not a JSON object"),
        (b'{"text": "a"}', "'content' is missing"),
        (b'{"content": null}', "'content' has to be a text, in quotes"),
        (b'{"content": 5}', "'content' has to be a text, in quotes"),
        (b'{"content": ""}', "content: it is blank"),
        (b'{"content": " \\n"}', "content: it is blank"),
        (b'{"content": "%s"}' % (b"x" * 50_001), "'content' has to be a text of no more than 50000 characters"),
        (b'{"content": "a\\u0000"}', "content: it holds a NUL character, which PostgreSQL cannot store"),
        (b'{"content": "a\\ud800"}', r"a \u escape in it is cut short or is half of a surrogate pair"),
        (b'{"content": "a\\udc00 and more"}', r"a \u escape in it is cut short or is half of a surrogate pair"),
        (b'{"content": "a\xff"}', "the byte at offset 36 of the file is not UTF-8"),
        (b'{"content": "a\xed\xa0\x80"}', "the byte at offset 36 of the file is not UTF-8"),
        (
            b'{"content": "a", "category": "%s"}' % (b"c" * 101),
            "'category' has to be a text of no more than 100",
        ),
        (b'{"content": "a", "category": 1}', "'category' has to be a text, in quotes"),
        (
            b'{"content": "a", "source": "%s"}' % (b"s" * 101),
            "'source' has to be a text of no more than 100",
        ),
        (b'{"content": "a", "tags": "t"}', "'tags' has to be a list"),
        (b'{"content": "a", "tags": [%s]}' % b",".join([b'"t"'] * 21), "'tags' has to be a list of no more than 20"),
        (b'{"content": "a", "tags": ["t", ""]}', "'tags.1' has to be a text of 1 or more characters"),
        (b'{"content": "a", "tags": ["%s"]}' % (b"t" * 51), "'tags.0' has to be a text of no more than 50 characters"),
        (b'{"content": "a", "tags": ["\\u0000"]}', "tags.0: it holds a NUL character"),
        (b'{"content": "a", "is_catalyst": "yes"}', "'is_catalyst' has to be true or false"),
        (b'{"content": "a", "x": %s1%s}' % (b"[" * 5_000, b"]" * 5_000), "it is not JSON: recursion limit exceeded"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_wrong(tmp_path: Path, line: bytes, complaint: str) -> None:
    path = written(tmp_path, b'{"content": "first"}\n\n' + line)
    with pytest.raises(UsageError) as raised:
        corpus(path).memories(2)
    assert str(raised.value).startswith(f"{path}, line 3: {complaint}")
    assert str(raised.value).endswith(". Correct the line or remove it.")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"a\0b", "content: it holds a NUL character, which PostgreSQL cannot store"),
        (b"a\xffb", "the byte at offset 7 of the file is not UTF-8"),
        ("x".encode("utf-16"), "the byte at offset 6 of the file is not UTF-8"),
        (b"x" * 50_001, "'content' has to be a text of no more than 50000 characters"),
    ],
)
def test_plain_lines_are_held_to_the_same_limits(tmp_path: Path, line: bytes, complaint: str) -> None:
    path = written(tmp_path, b"first\n" + line + b"\n", "memories.txt")
    with pytest.raises(UsageError) as raised:
        corpus(path).memories(2)
    assert str(raised.value) == f"{path}, line 2: {complaint}. Correct the line or remove it."


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_BYTES_MAX", 100)
    path = written(tmp_path, b"x" * 101, "memories.txt")
    with pytest.raises(UsageError, match="line 1: it is longer than 100 bytes"):
        corpus(path).memories(1)


def test_a_file_is_read_no_further_than_asked(tmp_path: Path) -> None:
    path = written(tmp_path, b'{"content": "a"}\n{"content": "b"}\nnope\n{"content": "c"}\n')
    notes = corpus(path)
    assert [memory.content for memory in notes.memories(2)] == ["a", "b"]
    for _ in range(2):
        with pytest.raises(UsageError, match="line 3: it is not JSON"):
            notes.memories(3)
    assert len(notes.memories(2)) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [("absent.jsonl", "cannot be read: No such file or directory. Name a file"), (".", "is not a regular file")],
)
def test_a_path_without_a_file_says_so_when_the_corpus_is_opened(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FileSettings(size=1, memories_path=tmp_path / name).open()


def test_a_path_of_questions_without_a_file_says_so_when_the_corpus_is_opened(notes: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent.txt cannot be read"):
        FileSettings(size=1, memories_path=notes, queries_path=tmp_path / "absent.txt").open()


def test_questions_may_belong_to_a_conversation(notes: Path, tmp_path: Path) -> None:
    asked = [{"query": "Where?", "conversation_id": "c-1", "relevant": ["x"]}, {"query": "Who?"}, {"query": "Who?"}]
    path = written(tmp_path, "\n".join(map(json.dumps, asked)).encode(), "queries.jsonl")
    assert corpus(notes, queries=path).queries(2) == (CorpusQuery("Where?", "c-1"), CorpusQuery("Who?"))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"content": "a"}', "'query' is missing"),
        (b'{"query": "%s"}' % (b"q" * 5_001), "'query' has to be a text of no more than 5000 characters"),
        (b'{"query": "a", "conversation_id": ""}', "'conversation_id' has to be a text of 1 or more characters"),
    ],
)
def test_questions_are_held_to_the_limits_of_a_query(notes: Path, tmp_path: Path, line: bytes, complaint: str) -> None:
    path = written(tmp_path, line, "queries.jsonl")
    with pytest.raises(UsageError) as raised:
        FileSettings(size=1, memories_path=notes, queries_path=path).open()
    assert str(raised.value) == f"{path}, line 1: {complaint}. Correct the line or remove it."


def test_too_few_questions_are_counted(notes: Path, tmp_path: Path) -> None:
    path = written(tmp_path, b"Where?\nWho?\n", "queries.txt")
    with pytest.raises(UsageError, match=r"queries.txt gives 2 distinct questions of the 3 needed. Ask fewer"):
        corpus(notes, queries=path).queries(3)


def test_too_few_derived_questions_say_where_more_could_come_from(notes: Path) -> None:
    message = r"notes.txt, without `corpus.queries_path`, gives 1 distinct questions of the 2 needed"
    with pytest.raises(UsageError, match=message):
        corpus(notes, size=3).queries(2)


def test_without_questions_they_are_words_that_single_out_loaded_memories(tmp_path: Path) -> None:
    texts = [
        "and the red bicycle stood with the snow shovel in the garden",
        "and the red bicycle stood with the umbrella in the rain",
        "and the snow shovel stood in the rain and in the garden",
        "the zebra",
    ]
    path = written(tmp_path, "\n".join([*texts, "the unloaded unloaded"]).encode(), "memories.txt")
    questions = {question.query for question in corpus(path, size=4).queries(4)}
    assert questions == {
        "bicycle with shovel garden",
        "bicycle with umbrella rain",
        "snow shovel rain garden",
        "the zebra",
    }


def test_texts_without_words_still_give_questions(tmp_path: Path) -> None:
    path = written(tmp_path, "🙂🙂\n今日は天気がいいから散歩に行きました\n1 2 3\n".encode(), "memories.txt")
    assert len(corpus(path, size=3).queries(3)) == 3


def test_the_bytes_of_the_files_and_the_size_are_the_identity_of_a_corpus(notes: Path, tmp_path: Path) -> None:
    moved = written(tmp_path, notes.read_bytes(), "elsewhere.txt")
    assert corpus(moved).fingerprint == corpus(notes).fingerprint
    longer = written(tmp_path, notes.read_bytes() + b"one more\n", "longer.txt")
    others = [corpus(longer), corpus(notes, size=2), corpus(notes, queries=moved), corpus(notes, queries=longer)]
    assert len({other.fingerprint for other in (corpus(notes), *others)}) == 5
