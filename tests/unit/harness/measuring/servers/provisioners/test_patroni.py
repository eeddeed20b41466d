"""What Patroni and etcd are told, and what a person reads where they are missing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ProvisioningError, UsageError
from harness.measuring.servers.addresses import endpoints
from harness.measuring.servers.provisioners.patroni import (
    PROGRAMS,
    ClusterPlan,
    Member,
    PatroniProvisioner,
    configuration,
    etcd_command,
    is_complete,
)

CHAOS = (Path(__file__).parents[6] / "docs/how-to/chaos.md").read_text(encoding="utf-8")
DIRECTORY = Path("/tmp/of-the-run")
PLAN = ClusterPlan(
    directory=DIRECTORY,
    installation=Path("/wheel"),
    account=None,
    etcd_ports=(1, 2),
    members=(Member("member1", DIRECTORY, 3, 4), Member("member2", DIRECTORY, 5, 6)),
    settings={"work_mem": "7MB"},
    password="drawn",
)
TOLD: Any = configuration(PLAN, PLAN.members[0])


def test_a_commit_waits_for_the_one_that_may_be_promoted_and_a_loss_is_noticed_as_early_as_can_be() -> None:
    cluster = TOLD["bootstrap"]["dcs"]
    assert cluster["synchronous_mode"] is True
    assert (cluster["ttl"], cluster["loop_wait"]) == (20, 1)
    assert cluster["loop_wait"] + 2 * cluster["retry_timeout"] <= cluster["ttl"]
    assert cluster["postgresql"]["parameters"]["work_mem"] == "7MB"


def test_everything_listens_on_this_machine_alone_and_asks_for_the_password() -> None:
    places = [
        TOLD["etcd3"]["host"],
        *(TOLD[of][at] for of in ("restapi", "postgresql") for at in ("listen", "connect_address")),
    ]
    places += [word.partition("//")[2] for word in etcd_command("etcd", PLAN) if "//" in word]
    assert {place.partition(":")[0] for place in places} == {"127.0.0.1"}
    assert all(rule.endswith("127.0.0.1/32 scram-sha-256") for rule in TOLD["postgresql"]["pg_hba"])
    assert PLAN.password == TOLD["etcd3"]["password"] == TOLD["restapi"]["authentication"]["password"]
    assert PLAN.password not in " ".join(etcd_command("etcd", PLAN)) + repr(PLAN)


def test_everything_lies_in_the_directory_of_the_run_and_nothing_is_called_back() -> None:
    assert all(Path(TOLD["postgresql"][name]).parent == PLAN.directory for name in ("data_dir", "pgpass"))
    assert "callbacks" not in json.dumps(TOLD)


def test_the_address_names_every_member_and_leads_to_the_one_that_takes_writes() -> None:
    assert endpoints(PLAN.url) == [("127.0.0.1", member.port) for member in PLAN.members]
    assert "target_session_attrs=read-write" in PLAN.url


@pytest.mark.parametrize(
    ("roles", "complete"),
    [
        ([("leader", "running"), ("sync_standby", "streaming")], True),
        ([("leader", "running"), ("replica", "streaming")], False),
        ([("leader", "running"), ("sync_standby", "starting")], False),
        ([("leader", "running")], False),
        ([("replica", "streaming"), ("sync_standby", "streaming")], False),
        ([], False),
    ],
)
def test_a_cluster_is_complete_when_one_may_take_the_leaders_place(
    roles: list[tuple[str, str]], complete: bool
) -> None:
    said = {"members": [{"role": role, "state": state} for role, state in roles]}
    assert is_complete(said, PLAN.members) is complete


def test_a_leader_alone_is_complete_where_nobody_is_to_follow() -> None:
    assert is_complete({"members": [{"role": "leader", "state": "running"}]}, PLAN.members[:1])


@pytest.mark.parametrize("missing", [{"etcd"}, {"patroni"}, {"etcd", "patroni"}])
async def test_a_program_that_is_missing_is_said_with_how_to_install_it(
    missing: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def which(name: str) -> str | None:
        return None if name in missing else f"/bin/{name}"

    monkeypatch.setattr(shutil, "which", which)
    with pytest.raises(UsageError) as refused:
        await PatroniProvisioner().check()
    assert ("apt-get install etcd-server" in str(refused.value)) == ("etcd" in missing)
    assert ('pip install "patroni[etcd3,psycopg3]"' in str(refused.value)) == ("patroni" in missing)


def test_the_how_to_installs_them_as_the_sentence_says() -> None:
    for how in PROGRAMS.values():
        assert how.removeprefix("Debian and Ubuntu: ") in CHAOS


async def test_a_setting_that_patroni_makes_itself_is_refused() -> None:
    with pytest.raises(ProvisioningError, match="`synchronous_standby_names` is the patroni server's own"):
        await PatroniProvisioner().start({"synchronous_standby_names": "*"}).__aenter__()
