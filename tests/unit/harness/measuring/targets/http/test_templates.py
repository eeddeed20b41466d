"""Placeholders: where they are found, what they become, and what is none."""

from urllib.parse import quote

import pytest

from harness.measuring.targets.http.templates import Placeholder, picked, read, read_text, references

VALUES = {
    Placeholder("n"): 7,
    Placeholder("word"): "a b/c",
    Placeholder("yes"): True,
    Placeholder("create", ("id",)): 12,
    Placeholder("create", ("items", "0")): {"x": [1, None]},
    Placeholder("env", ("API_KEY",)): "k",
}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{n}", 7),
        ("no. {n}", "no. 7"),
        ("{yes}", True),
        ("it is {yes}", "it is true"),
        ("{create.id}", 12),
        ("{create.items.0}", {"x": [1, None]}),
        ("got {create.items.0}", 'got {"x": [1, null]}'),
        ("Bearer {env.API_KEY}", "Bearer k"),
        ("{n}{word}", "7a b/c"),
        ("{{n}}", "{n}"),
        ("{{n}} is {n}", "{n} is 7"),
        ("query { me { id } }", "query { me { id } }"),
        ('{"a": 1}', '{"a": 1}'),
        ("", ""),
        ({"a": ["{n}", {"b": "{word}"}], "c": 1.5, "d": None}, {"a": [7, {"b": "a b/c"}], "c": 1.5, "d": None}),
        ({"a": Placeholder("word")}, {"a": "a b/c"}),
    ],
)
def test_what_a_template_becomes(template: object, filled: object) -> None:
    assert read(template)(VALUES.__getitem__) == filled


def test_a_value_cannot_leave_its_part_of_a_path() -> None:
    path = read_text("/notes/{word}/{create.id}", quote=lambda text: quote(text, safe=""))
    assert path(VALUES.__getitem__) == "/notes/a%20b%2Fc/12"


def test_what_was_drawn_is_no_template() -> None:
    assert read({"a": "{word}"})({Placeholder("word"): "{n}"}.__getitem__) == {"a": "{n}"}


def test_each_placeholder_is_found_with_its_place() -> None:
    template = {"a": ["{n}", "{create.id} {n}"], "b": {"c": "{{n}}"}, "d": Placeholder("word")}
    assert list(references(template, "json")) == [
        ("json.a.0", Placeholder("n")),
        ("json.a.1", Placeholder("create", ("id",))),
        ("json.a.1", Placeholder("n")),
        ("json.d", Placeholder("word")),
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [((), {"a": [{"b": 1}], "0": "x"}), (("a", "0", "b"), 1), (("0",), "x")],
)
def test_a_part_of_a_document_is_picked(path: tuple[str, ...], value: object) -> None:
    assert picked({"a": [{"b": 1}], "0": "x"}, path) == value


@pytest.mark.parametrize("path", [("b",), ("a", "1"), ("a", "b"), ("a", "-1"), ("a", "0", "b", "c")])
def test_a_part_that_is_not_there_is_none(path: tuple[str, ...]) -> None:
    with pytest.raises(LookupError):
        picked({"a": [{"b": 1}]}, path)
