"""docs/how-to/plans-of-production.md, followed: its commands, with the shop of the examples as production."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.servers.wheel import installation
from tests.foreign import execute, without_password

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "plans-of-production.md").read_text(encoding="utf-8")
SIZED = "SELECT set_config('harness.size', '20000', false);"


def test_the_page_leads_to_a_budget_of_a_plan_that_holds_on_a_hundred_rows(
    runner: asyncio.Runner, server: Server, tmp_path: Path, environment: dict[str, str]
) -> None:
    for path in (ROOT / "examples" / "shop").iterdir():
        shutil.copy(path, tmp_path)
    url = runner.run(server.create_database("production"))
    scripts = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.sql")}
    made = (scripts["schema.sql"], SIZED + scripts["seed.sql"], scripts["add_index.sql"], "ANALYZE")
    runner.run(execute(url, *made))
    (section,) = re.findall(r"```toml\n\[database\]\n(.+?)```", PAGE, re.DOTALL)
    scenario = (tmp_path / "shop.toml").read_text(encoding="utf-8")
    stated = re.compile(r"(\[database\]\n).+?(?=\n\[)", re.DOTALL)
    assert stated.search(scenario)
    with_statistics = stated.sub(lambda found: found[1] + 'provisioner = "embedded"\n' + section, scenario)
    (tmp_path / "shop.toml").write_text(with_statistics, encoding="utf-8")

    program = tmp_path / "harness"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness.cli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    programs = (str(tmp_path), str(installation(postgres_major=18) / "bin"), environment.get("PATH", os.defpath))
    told = {
        "PATH": os.pathsep.join(programs),
        "PRODUCTION": without_password(url),
        "PGPASSWORD": urlsplit(url).password or "",
    }
    commands = re.findall(r"```sh\n(.+?)```", PAGE, re.DOTALL)
    done = subprocess.run(
        ["sh", "-e", "-c", "".join(commands)],
        cwd=tmp_path,
        env=environment | told,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"latest_orders.plan uses orders_customer_created"' in with_statistics
    assert "All 6 budgets hold" in done.stdout
    runner.run(server.drop_database("production"))
