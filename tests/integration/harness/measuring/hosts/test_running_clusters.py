"""Clusters that somebody runs, hosts behind ssh, and what is said of those that are not as they should be."""

import asyncio
import datetime as dt
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.children import local_environment, modules_of_ours
from harness.errors import UsageError
from harness.measuring.clock import MonotonicClock
from harness.measuring.clock_lines import measured_offset
from harness.measuring.hosts import hosts_of
from harness.measuring.hosts.local_cluster import LOOPBACK, _dask_worker
from harness.measuring.hosts.protocol import HostLost, HostPlace, Hosts
from harness.measuring.hosts.ssh import STARTER
from harness.measuring.scenario_files import load_scenario
from harness.measuring.worker import drawn_digest

dask_config = pytest.importorskip("dask.config", reason="dask comes with the extra `cluster`")

import distributed  # noqa: E402
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

from harness.measuring.hosts._shared import dask_hosts, on_host  # noqa: E402
from harness.measuring.hosts._shared.own_cluster import HostCommand, cluster_of, own_scheduler  # noqa: E402

pytestmark = pytest.mark.slow


@asynccontextmanager
async def one_host(tmp_path: Path, **variables: str) -> AsyncGenerator[Hosts]:
    async with own_scheduler(LOOPBACK) as address:
        here = local_environment(**modules_of_ours()) | variables
        command = HostCommand("one", _dask_worker(address, "one", str(tmp_path)), here)
        async with cluster_of(address, [command]) as hosts:
            yield hosts


async def test_a_host_with_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put in place of a digest here, the host does not know."""
    async with one_host(tmp_path) as hosts:
        chosen = load_scenario("cluster").for_worker
        await hosts.check("null", partial(drawn_digest, chosen))
        with pytest.raises(UsageError, match="one would send other requests than this machine"):
            await hosts.check("null", partial(secrets.token_hex, 8))
        ours = on_host.identity("null")
        monkeypatch.setattr(on_host, "version", lambda _: "0.0.1")
        with pytest.raises(UsageError, match=rf"one has another version of the harness \({ours['the harness']}\) than"):
            await hosts.check("null", None)


def test_what_differs_is_named_with_both_versions() -> None:
    ours = {"the harness": "0.2, sources abc", "the target": "null, sources abc"}
    with pytest.raises(UsageError, match=r"rack-7 has another version of the harness \(0.1, sources xyz\) than"):
        dask_hosts.refuse_other("rack-7", ours, ours | {"the harness": "0.1, sources xyz"})
    with pytest.raises(UsageError, match=r"rack-7 has another version of the target \(null, sources xyz\)"):
        dask_hosts.refuse_other("rack-7", ours, ours | {"the target": "null, sources xyz"})
    with pytest.raises(UsageError, match=r"rack-7 cannot say what it measures with \(ModuleNotFoundError: No module"):
        dask_hosts.refuse_other("rack-7", ours, ModuleNotFoundError("No module named 'harness'"))
    dask_hosts.refuse_other("rack-7", ours, dict(ours))
    with pytest.raises(UsageError, match=r"rack-7 cannot draw what it is to send \(there is no trace.jsonl\)\. Bring"):
        dask_hosts.refuse_other_requests("rack-7", "abc", UsageError("there is no trace.jsonl"))


@pytest.mark.nightly
async def test_a_host_that_is_cut_off_is_lost_when_it_has_not_answered_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_host(tmp_path) as hosts:
        slot = await hosts.start(0, "{}", None)
        await slot.moments()
        monkeypatch.setattr(dask_hosts, "SILENCE_S_MAX", 0.5)
        with pytest.raises(HostLost, match="it has not answered for 0 s"):
            await slot._ask(asyncio.sleep, 5)  # type: ignore[attr-defined]


async def test_a_scheduler_that_does_not_answer_or_has_no_workers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_hosts, "ANSWER_S_MAX", 0.5)
    with pytest.raises(UsageError, match=r"No dask scheduler answers at tcp://127.0.0.1:9 \("):
        await hosts_of("tcp://127.0.0.1:9").__aenter__()
    monkeypatch.setattr(dask_hosts, "HANDSHAKE_S_MAX", 0.5)
    with socket.create_server((LOOPBACK, 0)) as silent:
        address = f"tcp://{LOOPBACK}:{silent.getsockname()[1]}"
        with pytest.raises(
            UsageError, match=rf"No dask scheduler answers at {address} \(something takes the call there"
        ):
            await hosts_of(address).__aenter__()
    monkeypatch.setattr(dask_hosts, "ANSWER_S_MAX", 30.0)
    monkeypatch.setattr(dask_hosts, "JOIN_S_MAX", 0.2)
    async with own_scheduler(LOOPBACK) as address:
        with pytest.raises(UsageError, match=rf"The dask scheduler at {address} has 0 workers"):
            await hosts_of(address).__aenter__()


async def test_a_scheduler_whose_certificate_has_expired_is_named_with_the_reason(tmp_path: Path) -> None:
    with dask_config.set(stated(*written(tmp_path, expired=True))):
        making: Any = distributed.Security
        security = making(require_encryption=True)
        async with own_scheduler(LOOPBACK, security) as address:
            with pytest.raises(UsageError, match=r"No dask scheduler answers at tls://\S+ \(.*expired"):
                await hosts_of(address).__aenter__()


async def test_a_cluster_behind_certificates_is_joined_with_them_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    certificate, key = written(tmp_path, expired=False)
    with dask_config.set(stated(certificate, key)):
        making: Any = distributed.Security
        async with own_scheduler(LOOPBACK, making(require_encryption=True)) as address:
            files = ("--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key)
            worker = (*_dask_worker(address, "one", str(tmp_path)), *map(str, files))
            command = HostCommand("one", worker, local_environment(**modules_of_ours()))
            async with cluster_of(address, [command], making(require_encryption=True)), hosts_of(address) as hosts:
                assert hosts.places == [HostPlace("one")]
                await hosts.check("null", None)
            others = stated(*written(tmp_path / "other", expired=False))
            with dask_config.set(others), pytest.raises(UsageError, match=r"\(.*certificate verify failed"):
                await hosts_of(address).__aenter__()


def stated(certificate: Path, key: Path) -> dict[str, str]:
    """The settings of dask's that name them, as the environment would."""
    names = ("ca-file", "client.cert", "scheduler.cert"), ("client.key", "scheduler.key")
    paths = {name: path for group, path in zip(names, (certificate, key), strict=True) for name in group}
    return {f"distributed.comm.tls.{name}": str(path) for name, path in paths.items()}


def written(directory: Path, *, expired: bool) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "harness-cluster")])
    now = dt.datetime.now(dt.UTC)
    ends = now - dt.timedelta(days=1) if expired else now + dt.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "cert.pem").write_bytes(certificate.public_bytes(pem))
    plain = serialization.NoEncryption()
    (directory / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return directory / "cert.pem", directory / "key.pem"


@pytest.mark.parametrize(
    ("main", "ending"),
    [
        pytest.param("pass", "nothing", id="its-scheduler-ends-it"),
        pytest.param("raise OSError('no such address')", "nothing", id="an-error"),
        pytest.param("import time; print(flush=True); time.sleep(60)", "signal", id="a-signal"),
        pytest.param("import time; print(flush=True); time.sleep(60)", "end of input", id="the-end-of-its-input"),
    ],
)
def test_nothing_stays_on_a_host_however_its_dask_worker_ends(tmp_path: Path, main: str, ending: str) -> None:
    """A stand-in for dask's worker ends as it is told to."""
    module = tmp_path / "modules" / "distributed" / "cli"
    module.mkdir(parents=True)
    for package in (module.parent, module):
        (package / "__init__.py").touch()
    (module / "dask_worker.py").write_text(f"def main(_):\n    {main}\n", encoding="utf-8")
    room = tmp_path / "room"
    room.mkdir()
    variables = local_environment(PYTHONPATH=str(tmp_path / "modules"), TMPDIR=str(room))
    told = {"scheduler": "tls://nowhere:1", "name": "one", "slots": 1, "ca": "a", "cert": "b", "key": "c"}
    command = [sys.executable, "-P", "-c", STARTER]
    with subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        started.stdin.write(json.dumps(told).encode() + b"\n")
        started.stdin.flush()
        if ending != "nothing":
            started.stdout.readline()
            assert list(room.iterdir())
        if ending == "signal":
            started.terminate()
        elif ending == "end of input":
            started.stdin.close()
        started.wait(30)
    assert not list(room.iterdir())


SKEWED = """
import time
real, wall = time.perf_counter, time.time
time.perf_counter = lambda: 5.0 + real() * (1 + 200e-6)
time.time = lambda: wall() + 5.0
"""


async def test_a_clock_that_is_wrong_by_five_seconds_and_200_millionths_is_known(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SKEWED, encoding="utf-8")
    found = os.pathsep.join([str(tmp_path), modules_of_ours()["PYTHONPATH"]])
    async with one_host(tmp_path, PYTHONPATH=found) as hosts:
        slot = await hosts.start(0, "{}", None)
        begun = time.perf_counter()
        offset = await measured_offset(slot.moments, MonotonicClock(), time.time)
        await slot.end()
    ahead_s = 5.0 + begun * 200e-6
    assert offset.known_ahead_s == pytest.approx(ahead_s, abs=offset.error_s + 1e-3)
    assert offset.wall_ahead_s == pytest.approx(5.0, abs=offset.error_s + 1e-3)
