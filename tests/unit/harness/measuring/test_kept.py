"""What gates keep: whole or not there, made again when it is broken, within its limit, and gone when it is cleaned."""

import os
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.measuring import kept
from harness.measuring.kept import CountedSide, Kept
from tests.records import sample, variant

SIDE = CountedSide(variants=(variant("300 memories", [sample()]),))


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def place(tmp_path: Path, notes: list[str]) -> Kept:
    return Kept.opened(tmp_path / "cache", notes.append)


def store(place: Kept, content: bytes, family: str = "local") -> Path:
    with place.new_cluster(family) as path:
        path.write_bytes(content)
    found = place.cluster(family)
    assert found is not None
    return found


def test_what_was_counted_is_found_again(place: Kept) -> None:
    place.keep_counts("a", SIDE)
    assert place.counts("a") == SIDE
    assert place.counts("b") is None


@pytest.mark.parametrize("content", ["", "{", '{"variants": [{}]}'])
def test_broken_counts_are_counted_again_and_said_to_be(place: Kept, notes: list[str], content: str) -> None:
    place.keep_counts("a", SIDE)
    (place.directory / "counts" / "a.json").write_text(content, encoding="utf-8")
    assert place.counts("a") is None
    assert notes == ["The kept counters a.json are broken: they are counted again."]
    place.keep_counts("a", SIDE)
    assert place.counts("a") == SIDE


def test_the_newest_cluster_takes_the_place_of_the_one_before(place: Kept) -> None:
    store(place, b"first")
    assert store(place, b"second").read_bytes() == b"second"
    assert store(place, b"another", "scale").read_bytes() == b"another"
    assert len(list((place.directory / "clusters").iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"firs", b"other"])
def test_a_broken_cluster_is_loaded_again_and_said_to_be(place: Kept, notes: list[str], content: bytes) -> None:
    path = store(place, b"first")
    path.write_bytes(content)
    assert place.cluster("local") is None
    assert notes == [f"The kept corpus {path.name} is broken: it is loaded again."]
    assert not path.exists()


def test_who_still_reads_a_cluster_is_not_disturbed(place: Kept) -> None:
    with store(place, b"first").open("rb") as reading:
        store(place, b"second")
        assert reading.read() == b"first"


def test_a_cluster_that_was_not_finished_leaves_nothing(place: Kept) -> None:
    def cut_off() -> None:
        with place.new_cluster("local") as path:
            path.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert list((place.directory / "clusters").iterdir()) == []


def test_what_was_used_least_lately_goes_first(tmp_path: Path, notes: list[str]) -> None:
    place = Kept(Kept.opened(tmp_path, notes.append).directory, 25, notes.append)
    for number, family in enumerate(("old", "used", "new")):
        path = store(place, b"ten bytes.", family)
        os.utime(path, (number, number))
        if family == "used":
            os.utime(path, (9, 9))
    assert [place.cluster(family) is not None for family in ("old", "used", "new")] == [False, True, True]


def test_what_was_just_made_stays_though_it_is_over_the_limit(tmp_path: Path, notes: list[str]) -> None:
    place = Kept(Kept.opened(tmp_path, notes.append).directory, 5, notes.append)
    assert store(place, b"ten bytes.").exists()


def test_cleaning_removes_it_and_nothing_else(place: Kept) -> None:
    store(place, b"ten bytes.")
    (place.directory / "mine").write_text("stays", encoding="utf-8")
    removed = kept.remove(place.directory)
    assert removed == len(b"ten bytes.")
    assert [path.name for path in place.directory.iterdir()] == ["mine"]
    assert kept.remove(place.directory) is None


def test_a_directory_that_is_nobodys_cache_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "clusters").mkdir()
    assert kept.remove(tmp_path) is None
    assert (tmp_path / "clusters").exists()


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"cannot be written to .*HARNESS_CACHE_DIRECTORY"):
        Kept.opened(tmp_path / "file" / "below", lambda _: None)


def named(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HARNESS_CACHE_DIRECTORY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return kept.directory()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HOME": "/home/a"}, "/home/a/.cache/anima-harness"),
        ({"HOME": "/home/a", "XDG_CACHE_HOME": "/var/cache/a"}, "/var/cache/a/anima-harness"),
        ({"HOME": "/home/a", "XDG_CACHE_HOME": "relative"}, "/home/a/.cache/anima-harness"),
        ({"HARNESS_CACHE_DIRECTORY": "/kept"}, "/kept"),
    ],
)
def test_where_it_is_kept(environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert named(environment, monkeypatch) == Path(expected)


@pytest.mark.parametrize("stated", ["", "much", "-1"])
def test_a_limit_that_is_no_number_is_refused(stated: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_CACHE_MB", stated)

    with pytest.raises(UsageError, match="is no number of megabytes"):
        Kept.opened(tmp_path, lambda _: None)
