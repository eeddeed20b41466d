"""`harness record`: a HAR file or an access log becomes a scenario."""

from pathlib import Path

import click

from harness.commands._shared.service_address import service_address
from harness.errors import UsageError
from harness.measuring.targets.http.recorded_scenario import scenario_of_recording
from harness.measuring.targets.http.recordings import read_recording
from harness.quantities import count


def record(*, recording: Path, target: Path | None, url: str | None, trace: bool, with_static: bool) -> None:
    scenario = target or recording.with_suffix(".toml")
    log = scenario.with_suffix(".jsonl")
    for path in (scenario, log) if trace else (scenario,):
        if path.exists():
            raise UsageError(f"{path} is there already. Name another file with --to.")
    stated = service_address(url)
    recorded, unread = read_recording(recording)
    written = scenario_of_recording(
        recording.stem, recorded, url=stated, with_static=with_static, trace=log.name if trace else None
    )
    scenario.write_text(written.toml, encoding="utf-8")
    if trace:
        log.write_text(written.trace, encoding="utf-8")
    if unread:
        click.echo(f"Left out: {count(unread)} lines that are no request.")
    for remark in written.remarks:
        click.echo(remark)
    click.echo(f"Wrote {scenario}, which asks {written.url}: try it with `harness try {scenario}`.")
