"""Scenario files: TOML in, one frozen value out, or an error that names the place and the nearest known word."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from pydantic_core import ErrorDetails

from harness.errors import UsageError, nearest
from harness.measuring.arguments import BRANCHES, DRAWN, Drawn
from harness.measuring.arrivals import ARRIVALS
from harness.measuring.beside import DIRECTORY
from harness.measuring.own_scenario import OwnScenario
from harness.measuring.scenario import VARIANTS, Scenario, known
from harness.measuring.servers.addresses import is_url
from harness.measuring.servers.provisioners import AUTO
from harness.measuring.shipped import shipped
from harness.measuring.targets import CLASS, TARGETS, TargetKind, entry_of
from harness.measuring.targets.anima.corpora import CORPORA
from harness.mistakes import mistake

SECTION_KINDS: Final[Mapping[str, Mapping[str, type[BaseModel]]]] = {"corpus": CORPORA, "arrival": ARRIVALS}
"""Sections of a scenario whose keys depend on their `kind`."""

DEFAULT_TARGET: Final = "anima"
SETTING_MAX: Final = 40


def find(name: str) -> Path:
    """A scenario by its name or its path. Raises `UsageError`."""
    path = Path(name)
    if path.suffix == ".toml":
        if path.is_file():
            return path
        raise UsageError(f"There is no scenario file {name}.")
    if name not in shipped():
        raise UsageError(f"There is no scenario {name!r}. {nearest(name, shipped())} Name a file by its path.")
    return shipped()[name]


def load_scenario(
    name: str, *, settings: Sequence[str] = (), strategies: str | None = None, database: str | None = None
) -> Scenario:
    """A scenario by name or path, with what the command line says instead. Raises `UsageError` with file and key."""
    path = find(name)
    document = _read(path)
    for setting in settings:
        _set(document, setting)
    _name_settings(document, settings)
    document = _spelled_now(document)
    names = [name.strip() for name in strategies.split(",")] if strategies is not None else []
    if names and not _is_own(document):
        _select(document, names)
    chosen = _validated(path, document, database, path.parent)
    return _selected(chosen, names) if names and isinstance(chosen, OwnScenario) else chosen


def stored(run_id: str, scenario: Mapping[str, Any], database: str | None) -> Scenario:
    """The scenario of a run, as its record has it. A server's URL is never in there, so it is named again."""
    spelled = _spelled_now(scenario)
    computed = _kind(spelled).scenario().model_computed_fields
    document = {key: value for key, value in spelled.items() if key not in computed}
    return _validated(Path(run_id), document, database)


def parsed(document: Mapping[str, Any], directory: Path = Path()) -> Scenario:
    """The scenario of its target, whose files are in the directory.

    Raises `ValidationError`, and `ValueError` where there is no such target.
    """
    kind = _kind(document)
    context = {VARIANTS: kind.listed(), DIRECTORY: directory}
    return kind.scenario().model_validate(document, context=context).completed()


def _spelled_now(document: Mapping[str, Any]) -> dict[str, Any]:
    """With the memory system's service under its name, where it is called what it was while there was no other."""
    renamed = document.get("target") == "http" and "strategies" in document and "service" not in document
    return {**document, "target": "anima-http"} if renamed else dict(document)


def _is_own(document: Mapping[str, Any]) -> bool:
    target = document.get("target", DEFAULT_TARGET)
    kind = TARGETS.get(entry_of(target)) if isinstance(target, str) else None
    return kind is not None and issubclass(kind.scenario(), OwnScenario)


def _kind(document: Mapping[str, Any]) -> TargetKind:
    target = document.get("target", DEFAULT_TARGET)
    return TARGETS[known("target", entry_of(target) if isinstance(target, str) else target, TARGETS)]


def _validated(path: Path, document: dict[str, Any], database: str | None, directory: Path = Path()) -> Scenario:
    """Raises `UsageError` with a sentence per mistake."""
    if database is not None and database != AUTO:
        stated = {"provisioner": "external", "url": database} if is_url(database) else {"provisioner": database}
        document["database"] = document.get("database", {}) | stated
    try:
        return parsed(document, directory)
    except ValidationError as error:
        model = _kind(document).scenario()
        raise UsageError("\n".join(_explain(path, model, issue) for issue in _mistakes(error.errors()))) from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: this is no UTF-8 ({error}). Save it as UTF-8, which TOML is.") from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not readable as TOML: {error}.") from None


def _set(document: dict[str, Any], setting: str) -> None:
    """`corpus.size=500`: the value is TOML where it can be read as such, else text."""
    key, equals, value = setting.partition("=")
    *sections, last = key.strip().split(".")
    if not equals or not last:
        raise UsageError(f"--set {setting}: expected KEY=VALUE, such as corpus.size=500.")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    place = document
    for section in sections:
        inner: object = place.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {setting}: {section!r} is not a section, so it has no key {last!r}.")
        place = cast("dict[str, Any]", inner)
    place[last] = parsed


def _name_settings(document: dict[str, Any], settings: Sequence[str]) -> None:
    """Has the title say what it was not written for; of a long value, or one that may be an address, only the key.

    A profile is made beside what is measured and changes none of it.
    """
    shown = [each if len(each) <= SETTING_MAX and "://" not in each else each.partition("=")[0] for each in settings]
    shown = [each for each in shown if not each.startswith(("title=", "profile=", "profile."))]
    if shown and isinstance(document.get("title"), str):
        document["title"] = f"{document['title']}, with {', '.join(shown)}"


def _select(document: dict[str, Any], names: Sequence[str]) -> None:
    """Runs only these strategies, with the scenario's baseline and candidate where they are among them."""
    document["strategies"] = list(names)
    for role, fallback in (("baseline", names[0]), ("candidate", names[-1])):
        if document.get(role) not in names:
            document[role] = fallback


def _selected(chosen: OwnScenario, names: Sequence[str]) -> OwnScenario:
    """Only these variants, which its target may be who names. Raises `UsageError`."""
    try:
        return chosen.only([known("variant", name, chosen.variants) for name in names])
    except ValueError as error:
        raise UsageError(f"--strategies: {error}") from None


def json_schema() -> dict[str, Any]:
    """Of a scenario file, for editors: what it may hold follows from its `target`."""
    models = {name: kind.scenario() for name, kind in TARGETS.items()}
    schemas, written = models_json_schema([(model, "validation") for model in dict.fromkeys(models.values())])
    definitions = written["$defs"]
    for name, definition in definitions.items():
        if name.endswith("Phase"):
            # Unless stated it is named after what it asks.
            definition["required"] = [each for each in definition.get("required", ()) if each != "name"]
    _tell_drawn_from_literal(definitions)
    named = [name for name in models if name != CLASS]
    of_class = {"pattern": ":"}
    stated = {name: of_class if name == CLASS else {"const": name} for name in models}
    return {
        "type": "object",
        "properties": {"target": {"anyOf": [{"enum": named}, of_class], "description": "What is measured."}},
        "allOf": [
            {"if": {"not": {"required": ["target"]}}, "then": schemas[models[DEFAULT_TARGET], "validation"]},
            *(
                {
                    "if": {
                        "required": ["target"],
                        "properties": {"target": stated[name]},
                    },
                    "then": schemas[model, "validation"],
                }
                for name, model in models.items()
            ),
        ],
        "$defs": definitions,
    }


def _tell_drawn_from_literal(definitions: dict[str, Any]) -> None:
    """As it is read: a table whose only key is a kind of drawn value, with a table of settings, is one."""
    drawn = definitions["Drawn"]
    drawn |= {"minProperties": 1, "maxProperties": 1}
    for kind, settings in drawn["properties"].items():
        reference, _ = settings["anyOf"]
        drawn["properties"][kind] = {**reference, "description": settings["description"]}
    is_drawn = [{"required": [kind], "properties": {kind: {"type": "object"}}} for kind in drawn["properties"]]
    for branch in definitions["Argument"]["oneOf"]:
        if branch.get("type") == "object":
            branch["not"] = {"maxProperties": 1, "anyOf": is_drawn}


def _mistakes(issues: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Without the list that pydantic calls too short because what is wrong in it does not count."""
    within = {part for issue in issues for part in issue["loc"][:-1]}
    return [issue for issue in issues if issue["type"] != "too_short" or issue["loc"][-1] not in within]


def _explain(path: Path, scenario: type[Scenario], issue: ErrorDetails) -> str:
    """One sentence per mistake: the file, the key, and what was meant."""
    # Inside some sections pydantic names what it took them for as well, which is not a key of the file.
    location = [part for place, part in enumerate(issue["loc"]) if not _is_branch(issue["loc"], place)]
    key = ".".join(map(str, location))
    match issue["type"]:
        case "extra_forbidden":
            fields = [
                field.alias or name for name, field in _model_at(scenario, issue["loc"][:-1]).model_fields.items()
            ]
            return f"{path}: unknown key {key!r}. {nearest(str(location[-1]), fields)}"
        case "union_tag_not_found":
            return f"{path}: '{key}.kind' is missing. Known: {', '.join(SECTION_KINDS[str(location[-1])])}."
        case "union_tag_invalid":
            kind = issue["ctx"]["tag"] if "ctx" in issue else ""
            known_kinds = SECTION_KINDS[str(location[-1])]
            return f"{path}: {key}: there is no kind {kind!r}. {nearest(kind, known_kinds)}"
        case _:
            return f"{path}: {mistake(issue, key)}."


def _is_branch(location: Sequence[object], place: int) -> bool:
    return location[place] in BRANCHES or _is_kind(location, place)


def _is_kind(location: Sequence[object], place: int) -> bool:
    return place > 0 and location[place - 1] in SECTION_KINDS


def _model_at(scenario: type[Scenario], location: Sequence[object]) -> type[BaseModel]:
    """The section at this place of a scenario."""
    model: type[BaseModel] = scenario
    for place, part in enumerate(location):
        if part == DRAWN:
            model = Drawn
        elif _is_kind(location, place):
            model = SECTION_KINDS[str(location[place - 1])][str(part)]
        elif part in model.model_fields:
            model = next(_models_in(model.model_fields[str(part)].annotation), model)
    return model


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models that an annotation mentions, the outermost first."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
