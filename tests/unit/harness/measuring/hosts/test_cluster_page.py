"""docs/how-to/cluster.md and the files to copy beside it: what they name is there."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.measuring.hosts import HERE, HOSTS

ROOT = Path(__file__).parents[5]
PAGE = (ROOT / "docs/how-to/cluster.md").read_text(encoding="utf-8")
FILES = ROOT / "docs/how-to/cluster"


def test_each_failure_is_shown_by_a_test_of_that_name() -> None:
    named = set(re.findall(r"`(test_\w+?)_?…`", PAGE))
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) >= 8
    assert [name for name in sorted(named) if f"def {name}" not in sources] == []


@pytest.mark.parametrize("kind", [name for name in HOSTS if name != HERE])
def test_each_kind_of_hosts_is_on_the_page(kind: str) -> None:
    assert f"`{kind}:" in PAGE


def test_the_job_for_slurm_is_a_script_of_bash() -> None:
    assert subprocess.run(["bash", "-n", FILES / "slurm.sh"], check=False).returncode == 0


def test_what_kubernetes_is_given_hangs_together() -> None:
    text = (FILES / "kubernetes.yaml").read_text(encoding="utf-8")
    parts: dict[tuple[str, str], dict[str, Any]] = {
        (each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(text)
    }
    assert set(parts) == {
        ("Service", "harness-scheduler"),
        ("Deployment", "harness-scheduler"),
        ("Deployment", "harness-worker"),
        ("Job", "harness-run"),
    }
    address = "tls://harness-scheduler:8786"
    assert address in parts["Deployment", "harness-worker"]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert parts["Job", "harness-run"]["spec"]["template"]["spec"]["containers"][0]["command"][-1] == f"{address}/4"
    assert parts["Service", "harness-scheduler"]["spec"]["ports"] == [{"port": 8786}]
