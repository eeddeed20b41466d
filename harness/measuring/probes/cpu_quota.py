"""Says how often a quota of a control group stopped the load generator: in Linux, a container's processor limit is one.

The group of this process and all above it are read, in either version of control groups. Where none has a quota, no
period has passed.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from harness.measuring.probes.protocol import CountedSpan, Observable

PROCESS: Final = Path("/proc/self")
MOUNT_ROOT, MOUNT_POINT, SEPARATOR = 3, 4, "-"


class CpuQuota:
    span: CountedSpan = "timed"
    is_level: bool = False
    counters: Mapping[str, str] = {
        "cpu_quota_periods": "periods of a processor quota of the load generator's control groups",
        "cpu_quota_throttled_periods": "of these, those in which the quota was used up and its processes stood still",
    }

    def __init__(self, process: Path = PROCESS) -> None:
        self._process = process

    async def read(self, observable: Observable) -> Mapping[str, float]:
        del observable
        return self.counts()

    def counts(self) -> Mapping[str, float]:
        statistics = [_statistics(group / "cpu.stat") for group in self._groups()]
        return {
            "cpu_quota_periods": sum(each.get("nr_periods", 0.0) for each in statistics),
            "cpu_quota_throttled_periods": sum(each.get("nr_throttled", 0.0) for each in statistics),
        }

    def _groups(self) -> Iterator[Path]:
        """The directories of this process's groups that may have a quota, up to the one that is mounted."""
        paths = self._paths()
        for line in _lines(self._process / "mountinfo"):
            fields = line.split(" ")
            kind, _, options = fields[fields.index(SEPARATOR) + 1 :]
            if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options.split(",")):
                root, mounted = fields[MOUNT_ROOT], Path(fields[MOUNT_POINT])
                path = paths.get("" if kind == "cgroup2" else "cpu", PurePosixPath("/"))
                # In a container without a namespace of its own, the path is the host's and the mount begins below it.
                below = path.relative_to(root) if path.is_relative_to(root) else PurePosixPath()
                yield from (mounted / part for part in (below, *below.parents))

    def _paths(self) -> Mapping[str, PurePosixPath]:
        """By controller; the only hierarchy of version 2 has an empty name."""
        return {
            controller: PurePosixPath(path)
            for _, controllers, path in (line.split(":", 2) for line in _lines(self._process / "cgroup"))
            for controller in controllers.split(",")
        }


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _statistics(path: Path) -> Mapping[str, float]:
    return {name: float(number) for name, number in (line.split(" ") for line in _lines(path))}
