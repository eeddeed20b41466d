"""What `--workers` names, and what it says of what names no hosts."""

import re
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.measuring.hosts import HOSTS, hosts_of, kind_in
from harness.measuring.hosts.ssh import SshHost, address_towards, hosts_in, ssh_command
from harness.measuring.recording import record_run
from harness.measuring.scenario_files import load_scenario


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        ("0", "a run has 1 to 64 workers on a machine, and not 0"),
        ("-1", "and not -1"),
        ("65", "and not 65"),
        ("local:0", "and not 0"),
        ("local:", "'' is no number of workers"),
        ("local:many", "'many' is no number of workers"),
        ("here:4", "there are no workers 'here:4'. Known: a number, local:…, ssh:…, tcp:…, tls:…."),
        ("four", "there are no workers 'four'"),
        ("tls://10.0.0.5", "tls://10.0.0.5 is no address of a dask scheduler, such as tls://10.0.0.5:8786"),
        ("tls://10.0.0.5:8786/none", "or tls://10.0.0.5:8786/4 to wait for 4 workers"),
        ("tcp:8786", "tcp:8786 is no address of a dask scheduler"),
        ("ssh:/nowhere/hosts.txt", "the hosts in /nowhere/hosts.txt cannot be read (No such file or directory)"),
        ("[2]", "there are no workers"),
    ],
)
def test_what_names_no_hosts_is_refused_with_what_it_may_be(workers: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_scenario("smoke", settings=[f"workers='{workers}'"])
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names 0 hosts"),
        ("# one\n\n", "names 0 hosts"),
        ("one slots=0\n", "hosts.txt:1: a host has 1 slot or more, and not '0'"),
        ("one\ntwo slot=2\n", "hosts.txt:2: 'slot=2' is neither slots=… nor python=…"),
        ("-oProxyCommand=rm\n", "hosts.txt:1: '-oProxyCommand=rm' is no host"),
    ],
)
def test_a_file_that_names_no_hosts_is_refused_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "hosts.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"hosts\.txt") as refused:
        hosts_in(path)
    assert said in str(refused.value)


def test_a_line_says_where_ssh_connects_to_with_how_many_slots_and_which_python(tmp_path: Path) -> None:
    path = tmp_path / "hosts.txt"
    path.write_text("# The rack.\n10.0.0.7\nload@b slots=4 python=/opt/a b/python\n".replace("a b", "a"), "utf-8")
    assert hosts_in(path) == [SshHost("10.0.0.7"), SshHost("load@b", 4, "/opt/a/python")]
    *_, host, command = ssh_command(hosts_in(path)[1])
    assert host == "load@b"
    assert command.startswith("exec /opt/a/python -P -c ")


def test_a_machine_without_ssh_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"There is no ssh to reach rack-7 with \(.*\)\. Install OpenSSH's client\."):
        address_towards("rack-7")


@pytest.mark.parametrize("workers", [1, "4", "local:4", "tls://10.0.0.5:8786/4", "tcp://127.0.0.1:8786"])
def test_hosts_are_of_a_kind(workers: int | str) -> None:
    kind, rest = kind_in(workers)
    assert kind in HOSTS.values()
    kind.check(rest)


@pytest.mark.needs("cluster")
async def test_a_network_is_not_trusted_unless_somebody_says_so() -> None:
    with pytest.raises(UsageError, match="would execute what anybody in that network sends them"):
        await hosts_of("tcp://192.0.2.1:8786").__aenter__()


@pytest.mark.needs("cluster")
async def test_a_scheduler_behind_certificates_wants_one_of_ours() -> None:
    with pytest.raises(UsageError, match="wants a certificate of this side"):
        await hosts_of("tls://192.0.2.1:8786").__aenter__()


@pytest.mark.needs("cluster")
@pytest.mark.parametrize("written", ["", "no certificate"])
async def test_certificates_that_cannot_be_used_are_named(written: str, tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    if written:
        path.write_text(written, encoding="utf-8")
    settings = pytest.importorskip("dask.config", reason="dask comes with the extra `cluster`")
    names = ("ca-file", "client.cert", "client.key")
    stated = {f"distributed.comm.tls.{name}": str(path) for name in names}
    with settings.set(stated), pytest.raises(UsageError) as refused:
        await hosts_of("tls://192.0.2.1:8786").__aenter__()
    assert re.match(
        rf"The certificates for tls://192.0.2.1:8786 cannot be used \(.+\): {path}. Correct DASK_", str(refused.value)
    )


@pytest.mark.needs("cluster")
def test_hosts_that_cannot_be_had_are_told_before_anything_is_started(tmp_path: Path) -> None:
    """No database is made ready, and no report is left of a run that could not begin."""
    chosen = load_scenario("smoke", settings=["workers='tcp://192.0.2.1:8786'"])
    with pytest.raises(UsageError, match="would execute what anybody in that network sends them"):
        record_run(chosen, tmp_path / "run")
    assert not (tmp_path / "run").exists()
