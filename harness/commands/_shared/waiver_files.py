"""Waivers in their file: read as a whole or refused with the place, and written below what stands there."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from pydantic import ValidationError

from harness import runs
from harness.children import git
from harness.errors import UsageError
from harness.judging.waivers import Waiver, new_since
from harness.mistakes import first_mistake
from harness.record import RunRecord

WAIVERS_FILE: Final = Path("waivers.toml")
KEY: Final = "waiver"


def load_waivers(path: Path | None) -> tuple[Waiver, ...]:
    """Those of the file; of the current directory's where none is named, if there is one. Raises `UsageError`."""
    chosen = path or WAIVERS_FILE
    if path is None and not chosen.exists():
        return ()
    return parsed_waivers(_text(chosen), str(chosen))


def for_record(record: RunRecord, path: Path | None) -> tuple[Waiver, ...]:
    """Those that may count for a stored run: of a comparison only where revisions were compared."""
    waivers = load_waivers(path)
    if record.comparison is None:
        return waivers
    commits = cast("dict[str, str]", record.scenario.get("revisions", {}))
    commit = commits.get(record.comparison.baseline)
    return not_in_base(waivers, path, commit) if commit else ()


def not_in_base(waivers: Sequence[Waiver], path: Path | None, commit: str) -> tuple[Waiver, ...]:
    """Those that the file has not at this commit, where it may be none yet."""
    shown = git("show", f"{commit}:./{path or WAIVERS_FILE}")
    return new_since(
        waivers,
        parsed_waivers(shown.stdout, f"{path or WAIVERS_FILE} of {commit[:10]}") if shown.returncode == 0 else (),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: this is no UTF-8 ({error}). Save it as UTF-8, which TOML is.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}). `harness waive` begins such a file.") from None


def parsed_waivers(text: str, name: str) -> tuple[Waiver, ...]:
    """Reads what stands in a file of this name. Raises `UsageError`."""
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: not readable as TOML: {error}.") from None
    stray = [key for key in document if key != KEY]
    entries = document.get(KEY, [])
    if stray or not isinstance(entries, list):
        raise UsageError(f"{name}: there is nothing in it but [[{KEY}]] entries, and {stray or [KEY]} is none.")
    found: list[Waiver] = []
    for number, entry in enumerate(cast("list[object]", entries), 1):
        waiver = _waiver(entry, f"{name}, waiver {number}")
        if any((each.scenario, each.subject) == (waiver.scenario, waiver.subject) for each in found):
            raise UsageError(f"{name}, waiver {number}: {waiver.subject} is waived already above. Leave one out.")
        found.append(waiver)
    return tuple(found)


def _waiver(entry: object, place: str) -> Waiver:
    try:
        waiver = Waiver.model_validate(entry)
        # Read now, so that a mistake is told before anything is measured.
        _ = waiver.subject, waiver.accepted, waiver.accepted_share
    except ValidationError as error:
        raise UsageError(f"{place}: {first_mistake(error)}.") from None
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None
    return waiver


def add_waiver(path: Path | None, waiver: Waiver) -> Path:
    """Writes it below the others, which stay as they are, with their comments. Raises `UsageError`."""
    chosen = path or WAIVERS_FILE
    before = _text(chosen) if chosen.exists() else ""
    text = f"{before.rstrip()}\n\n{_written(waiver)}".lstrip("\n")
    known = parsed_waivers(before, str(chosen))
    if any((each.scenario, each.subject) == (waiver.scenario, waiver.subject) for each in known):
        raise UsageError(f"{chosen}: {waiver.subject} of {waiver.scenario} is waived there already. Change that entry.")
    assert parsed_waivers(text, str(chosen)) == (*known, waiver)
    runs.replace_file(chosen, text)
    return chosen


def _written(waiver: Waiver) -> str:
    values = waiver.model_dump(mode="json", exclude_none=True)
    expires = values.pop("expires")
    lines = [f"{key} = {_quoted(value)}" for key, value in values.items()]
    return "\n".join([f"[[{KEY}]]", *lines, f"expires = {expires}"]) + "\n"


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each.isprintable() else f"\\U{ord(each):08X}" for each in escaped) + '"'
