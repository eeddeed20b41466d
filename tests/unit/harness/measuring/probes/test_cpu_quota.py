"""Where the statistics of control groups lie, in both versions, on a host and in containers."""

from pathlib import Path
from typing import cast

import pytest

from harness.measuring.probes.cpu_quota import CpuQuota
from harness.measuring.probes.protocol import Observable

NOT_LOOKED_AT = cast("Observable", None)

V1 = "32 31 0:29 {root} {mount}/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
V1_OTHER = "33 31 0:30 / {mount}/memory rw,relatime - cgroup cgroup rw,memory\n"
V2 = "30 23 0:26 {root} {mount} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1_PATHS = "4:memory:/elsewhere\n2:cpu,cpuacct:{path}\n0::/\n"
V2_PATHS = "0::{path}\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def statistics(periods: int, throttled: int) -> str:
    return f"usage_usec 7\nnr_periods {periods}\nnr_throttled {throttled}\nthrottled_usec 9\n"


async def read(tmp_path: Path, mountinfo: str, cgroup: str) -> tuple[float, float]:
    write(tmp_path / "self" / "mountinfo", "1 2 0:1 / / rw - ext4 /dev/a rw\n" + mountinfo)
    write(tmp_path / "self" / "cgroup", cgroup)
    counted = await CpuQuota(tmp_path / "self").read(NOT_LOOKED_AT)
    return counted["cpu_quota_periods"], counted["cpu_quota_throttled_periods"]


@pytest.mark.parametrize(
    ("root", "path", "directory"),
    [
        ("/", "/user/a", "user/a"),
        ("/", "/user/a", "user"),
        ("/", "/", "."),
        ("/docker/4f", "/docker/4f", "."),
        ("/docker/4f", "/docker/4f/inner", "inner"),
        ("/docker/4f", "/", "."),
    ],
    ids=["its own", "one above", "at the root", "of a container", "in a container", "of a namespace"],
)
@pytest.mark.parametrize("version", [1, 2])
async def test_the_group_with_the_quota_is_found(
    tmp_path: Path, version: int, root: str, path: str, directory: str
) -> None:
    mount = tmp_path / "sys"
    mountinfo, paths, below = (V1 + V1_OTHER, V1_PATHS, "cpu,cpuacct") if version == 1 else (V2, V2_PATHS, "")
    write(mount / below / directory / "cpu.stat", statistics(394, 378))
    write(mount / "memory" / "elsewhere" / "cpu.stat", statistics(1_000, 1_000))
    assert await read(tmp_path, mountinfo.format(root=root, mount=mount), paths.format(path=path)) == (394.0, 378.0)


@pytest.mark.parametrize("text", ["", "usage_usec 12\nuser_usec 3\n", statistics(0, 0)])
async def test_without_a_quota_no_period_has_passed(tmp_path: Path, text: str) -> None:
    write(tmp_path / "sys" / "cpu.stat", text)
    assert await read(tmp_path, V2.format(root="/", mount=tmp_path / "sys"), V2_PATHS.format(path="/")) == (0.0, 0.0)


async def test_where_there_are_no_control_groups_no_period_has_passed(tmp_path: Path) -> None:
    counted = await CpuQuota(tmp_path).read(NOT_LOOKED_AT)
    assert set(counted.values()) == {0.0}
