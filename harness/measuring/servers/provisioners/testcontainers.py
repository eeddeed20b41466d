"""PostgreSQL in a container of its own, through testcontainers: the image that production runs, with its limits.

Not through its PostgresContainer, which asks `psql` inside the container once a second: a query from outside is what
the run will do. A child of this process removes the container however this process ends; testcontainers' own reaper,
Ryuk, stands behind it where its image can be had. Importing this needs the extra `containers`.
"""

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import psutil
from docker.constants import DEFAULT_UNIX_SOCKET
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.utils import parse_repository_tag
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient, get_docker_host

from harness.errors import ProvisioningError
from harness.measuring.servers.addresses import plain_parameters
from harness.measuring.servers.provisioners._shared.databases import (
    DEFAULT_SETTINGS,
    NO_DISK,
    NO_STANDBY,
    Disruptions,
    PostgresServer,
    answers,
    data_directory,
    free_port,
    on_disk,
    open_server,
    quoted,
    refuse_own_settings,
)
from harness.measuring.servers.provisioners._shared.engine import listening
from harness.measuring.servers.provisioners.protocol import DEFAULT_IMAGE, DatabaseSettings, Disruption
from harness.measuring.servers.reaper import outliving

ADMINISTRATOR: Final = "postgres"
PORT: Final = 5432
LOCAL: Final = "127.0.0.1"
PRELOADED: Final = ("pg_stat_statements", "auto_explain")
OWN_SETTINGS: Final = frozenset({"port", "listen_addresses", "data_directory"})
DISK: Final = "/harness-disk"
OWN_DISK: Final = ("sh", "-c", 'chown "$(stat -c %u:%g "$0")" "$1"')
SHUT_DOWN: Final = ("sh", "-c", 'kill -INT "$(head -n 1 "$0/postmaster.pid")"')
FILL: Final = ("sh", "-c", f"cat /dev/zero >{DISK}/ballast || true")
FREE: Final = ("rm", "-f", f"{DISK}/ballast")
ELSEWHERE: Final = (
    "A container of an engine elsewhere comes back at another address. Use an engine on this machine, or the "
    "`embedded` provisioner."
)
FORGETFUL: Final = (
    "A container's disk in memory (`disk_mb`) ends when the container stops, with the databases on it. Leave `disk_mb` "
    "out and fill the disk in a scenario of its own, or use the `embedded` provisioner."
)
LABEL_RUN: Final = "anima-harness.run"
LABEL_PROCESS: Final = "anima-harness.process"

POLL_INTERVAL_S: Final = 0.05
STOP_TIMEOUT_S: Final = 30
LOG_LINES: Final = 500
CLOCK_ERROR_S: Final = 2.0
"""How far the start of one process may seem to move when the clock is set."""
UNFINISHED_S: Final = 2.0
"""How long the engine may still be making a container that was asked for just before a process was killed."""


Labels = Mapping[str, str]
"""By which a container is known as a run's."""


@dataclass(frozen=True, slots=True)
class ContainerProvisioner:
    """Starts a container for each server. Any number may run at once. No limit means all that the engine has."""

    image: str = DEFAULT_IMAGE
    cpus: float | None = None
    memory_mb: int | None = None
    shm_mb: int = 1024
    disk_mb: int | None = None
    start_timeout_s: float = 120.0

    @classmethod
    def of_settings(cls, settings: DatabaseSettings) -> "ContainerProvisioner":
        return cls(settings.image, settings.cpus, settings.memory_mb, settings.shm_mb, settings.disk_mb)

    @property
    def name(self) -> str:
        return "testcontainers"

    async def check(self) -> None:
        """What can be wrong shows in starting it, which comes first of what takes long."""

    @asynccontextmanager
    async def start(self, settings: Mapping[str, str]) -> AsyncGenerator[PostgresServer]:
        """Settings that are not given are those of `DEFAULT_SETTINGS`."""
        refuse_own_settings(settings, OWN_SETTINGS, "container")
        password = secrets.token_urlsafe(32)
        async with _running(self.image, lambda labels: self._container(settings, labels, password), PORT) as container:
            yield await self._opened(container, password)

    def _container(self, settings: Mapping[str, str], labels: Labels, password: str) -> DockerContainer:
        limits: dict[str, int] = {"shm_size": self.shm_mb << 20}
        if self.cpus is not None:
            limits["nano_cpus"] = round(self.cpus * 1e9)
        if self.memory_mb is not None:
            limits |= {"mem_limit": self.memory_mb << 20, "memswap_limit": self.memory_mb << 20}
        container = (
            DockerContainer(self.image)
            .with_envs(POSTGRES_USER=ADMINISTRATOR, POSTGRES_PASSWORD=password, POSTGRES_DB=ADMINISTRATOR)
            .with_command(["postgres", *_options(settings)])
            .with_kwargs(labels=labels, **limits)
        )
        if self.disk_mb is not None:
            container.with_tmpfs_mount(DISK, f"size={self.disk_mb}m")
        return container

    async def _opened(self, container: DockerContainer, password: str) -> PostgresServer:
        """The server, as soon as it answers a query."""
        url = await self._answering(container, password)
        server = await open_server(self.name, url, self._runtime(container), read_log=lambda: _log(container))
        data = await data_directory(url)
        if self.disk_mb is not None:
            await asyncio.to_thread(_execute, container.get_wrapped_container(), (*OWN_DISK, data, DISK))
            server = await on_disk(server, DISK)
        return replace(
            server,
            disruptions=self._disruptions(container, password, data),
            cannot=self._cannot(container),
            read_cpu_s=lambda: _cpu_s(container),
        )

    def _disruptions(self, container: DockerContainer, password: str, data: str) -> Disruptions:
        wrapped = container.get_wrapped_container()

        @asynccontextmanager
        async def between(begin: Callable[[], object], end: Callable[[], object]) -> AsyncGenerator[None]:
            try:
                await _to_its_end(lambda _: _ask(begin))
                yield
            finally:
                await _to_its_end(lambda _: _ask(end))
                await self._answering(container, password)

        return {
            "restart": lambda: between(lambda: _shut_down(wrapped, data), wrapped.start),
            "kill": lambda: between(wrapped.kill, wrapped.start),
            "pause": lambda: between(wrapped.pause, wrapped.unpause),
            "fill_disk": lambda: between(lambda: _execute(wrapped, FILL), lambda: _execute(wrapped, FREE)),
        }

    def _cannot(self, container: DockerContainer) -> Mapping[Disruption, str]:
        cannot: dict[Disruption, str] = {"fail_over": NO_STANDBY}
        if not self.disk_mb:
            cannot["fill_disk"] = NO_DISK
        if self.disk_mb or not _is_here(container.get_docker_client()):
            cannot |= dict.fromkeys(("restart", "kill"), FORGETFUL if self.disk_mb else ELSEWHERE)
        return cannot

    async def _answering(self, container: DockerContainer, password: str) -> str:
        """The server's URL, as soon as it answers a query."""
        try:
            async with asyncio.timeout(self.start_timeout_s):
                while await asyncio.to_thread(_is_running, container):
                    url = await asyncio.to_thread(_url, container, password)
                    if url is not None and await answers(url):
                        return url
                    await asyncio.sleep(POLL_INTERVAL_S)
        except TimeoutError:
            raise ProvisioningError(
                f"PostgreSQL in a container of {self.image} did not answer within {self.start_timeout_s:g} s. Try "
                f"again when the machine is less busy. {quoted(_log(container))}"
            ) from None
        raise ProvisioningError(
            f"PostgreSQL in a container of {self.image} did not start. Correct what its log names. "
            f"{quoted(_log(container))}"
        )

    def _runtime(self, container: DockerContainer) -> Mapping[str, str]:
        limits = {
            "cpus": self.cpus,
            "memory_mb": self.memory_mb,
            "shm_mb": self.shm_mb,
            "disk_mb": self.disk_mb,
        }
        stated = {name: f"{limit:g}" for name, limit in limits.items() if limit is not None}
        image = container.get_wrapped_container().image
        assert image is not None
        return MappingProxyType({"image": self.image, "image_id": str(image.id), **stated})

    async def clean(self) -> tuple[str, ...]:
        """Containers whose process is no more on this host; those of other hosts on a shared engine stay."""
        return await asyncio.to_thread(_clean)


def engine_answers() -> bool:
    """Says whether containers can be started here."""
    try:
        _engine().client.close()
    except ProvisioningError:
        return False
    return True


def _engine() -> DockerClient:
    """The engine that testcontainers finds. Raises `ProvisioningError` when there is none."""
    try:
        listening(get_docker_host() or DEFAULT_UNIX_SOCKET)
        client = DockerClient()
        client.client.ping()
    except (DockerException, OSError, ValueError) as error:  # ValueError: an address that cannot be read as one.
        raise ProvisioningError(
            f"No container engine answers ({error}). Start Docker, or Podman's service, or set DOCKER_HOST to where "
            "one runs. Without any, use `--database embedded`."
        ) from error
    return client


@asynccontextmanager
async def _running(image: str, make: Callable[[Labels], DockerContainer], port: int) -> AsyncGenerator[DockerContainer]:
    """A started container of the image, labelled as the run's, with its port published; gone however the run ends."""
    client = await asyncio.to_thread(_engine)
    run = secrets.token_hex(8)
    try:
        await _to_its_end(lambda stop: _provide(client, image, stop))
        async with outliving(f"{__name__}:containers_of", run=run):
            container = make({LABEL_RUN: run, LABEL_PROCESS: _this_process()})
            _publish(container, port)
            try:
                await _to_its_end(lambda _: _start(container))
                yield container
            finally:
                container.get_docker_client().client.close()
    finally:
        client.client.close()


@asynccontextmanager
async def within_container(
    image: str, port: int, variables: Mapping[str, str], command: Sequence[str]
) -> AsyncGenerator[DockerContainer]:
    """A command in a container of the image, with what stands in its environment, while the block lasts."""

    def make(labels: Labels) -> DockerContainer:
        return DockerContainer(image).with_envs(**variables).with_command(list(command)).with_kwargs(labels=labels)

    async with _running(image, make, port) as container:
        yield container


def place_of(container: DockerContainer, port: int) -> str | None:
    """Host and port at which it is reached; None where it has no port: it has just ended, or not quite begun."""
    client = container.get_docker_client()
    mapped = client.get_connection_mode().use_mapped_port
    host = LOCAL if _is_here(client) else container.get_container_host_ip()
    try:
        return f"{host}:{client.port(container.get_container_id(), port) if mapped else port}"
    except ConnectionError:
        return None


async def _to_its_end(call: Callable[[threading.Event], None]) -> None:
    """In a thread that is told of a cancellation, and waited for: what it makes is not to be missed by its removal."""
    stop = threading.Event()
    work = asyncio.create_task(asyncio.to_thread(call, stop))
    try:
        await asyncio.shield(work)
    finally:
        stop.set()
        await asyncio.wait({work})


def _provide(client: DockerClient, image: str, stop: threading.Event) -> None:
    """Pulls the image where it is missing, and goes without Ryuk where that one is not to be had."""
    if not testcontainers_config.ryuk_disabled and _pull(client, testcontainers_config.ryuk_image, stop):
        testcontainers_config.ryuk_disabled = True
    refusal = _pull(client, testcontainers_config.hub_image_name_prefix + image, stop)
    if refusal:
        raise ProvisioningError(
            f"There is no image {image} here, and it could not be pulled: {refusal}. Build or load it, name another "
            "as `image` in the scenario's [database], or use `--database embedded`."
        )


def _pull(client: DockerClient, image: str, stop: threading.Event) -> str | None:
    """Why it could not be had, if so. Returns early when told to stop."""
    try:
        client.client.images.get(image)
    except ImageNotFound:
        repository, tag = parse_repository_tag(image)
    else:
        return None
    try:
        pull: Callable[..., Iterable[Mapping[str, object]]]
        pull = client.client.api.pull  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        for step in pull(repository, tag=tag or "latest", stream=True, decode=True):
            if stop.is_set() or "error" in step:
                return str(step.get("error", "interrupted"))
    except (DockerException, OSError) as error:
        return str(error)
    return None


def _options(settings: Mapping[str, str]) -> list[str]:
    stated = {**DEFAULT_SETTINGS, **settings}
    libraries = [name.strip() for name in stated.get("shared_preload_libraries", "").split(",") if name.strip()]
    stated["shared_preload_libraries"] = ",".join(dict.fromkeys((*libraries, *PRELOADED)))
    return [argument for name, value in stated.items() for argument in ("-c", f"{name}={value}")]


def _publish(container: DockerContainer, port: int) -> None:
    """On 127.0.0.1 where the engine is this machine's, so that nobody else reaches it, and on a port that it keeps."""
    container.with_exposed_ports(port)
    if _is_here(container.get_docker_client()):
        # The engine takes an address as well, which the annotation leaves out.
        container.ports[str(port)] = (LOCAL, free_port(LOCAL))  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]


def _is_here(client: DockerClient) -> bool:
    """Whether the engine publishes ports where this process listens, even if that is in a container itself."""
    if client.get_connection_mode() == ConnectionMode.docker_host:
        return client.host() in {"localhost", LOCAL}
    bridge: Mapping[str, Mapping[str, str]] = client.client.networks.get("bridge").attrs
    return bridge["Options"].get("com.docker.network.bridge.name") in psutil.net_if_addrs()


def _start(container: DockerContainer) -> None:
    try:
        container.start()
    except (DockerException, OSError) as error:
        raise ProvisioningError(f"The container engine did not start {container.image}: {error}") from error


def _ask(act: Callable[[], object]) -> None:
    try:
        act()
    except (DockerException, OSError) as error:
        raise ProvisioningError(f"The container engine refused to disrupt the server: {error}") from error


def _shut_down(container: Container, data: str) -> None:
    """Fast, by the server's own signal: the engine's would go to the container's first process, whatever that is."""
    _execute(container, (*SHUT_DOWN, data))
    container.wait(timeout=STOP_TIMEOUT_S)


def _execute(container: Container, command: tuple[str, ...]) -> None:
    """Within the container, as its root."""
    exit_code, output = container.exec_run(list(command), user="0")
    if exit_code:
        raise ProvisioningError(f"A command in the container failed ({' '.join(command)}): {output!r}.")


def _is_running(container: DockerContainer) -> bool:
    container.reload()
    return container.status == "running"


def _url(container: DockerContainer, password: str) -> str | None:
    place = place_of(container, PORT)
    return place and f"postgresql://{ADMINISTRATOR}:{password}@{place}/{ADMINISTRATOR}?{plain_parameters()}"


def _log(container: DockerContainer) -> str:
    """Empty where the engine no longer has it, so that why a run failed is not hidden by this."""
    try:
        return container.get_wrapped_container().logs(tail=LOG_LINES).decode(errors="replace")
    except (DockerException, OSError):
        return ""


def _cpu_s(container: DockerContainer) -> float | None:
    """Of all processes that the container has had, as its cgroup counts it."""
    try:
        # One shot, since the engine otherwise waits a second for a rate.
        read: Callable[..., Mapping[str, Any]]
        read = container.get_docker_client().client.api.stats  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        usage = read(container.get_container_id(), stream=False, one_shot=True)["cpu_stats"]["cpu_usage"]
        return float(usage["total_usage"]) / 1e9
    except (DockerException, OSError, KeyError):
        return None


def _this_process() -> str:
    """Host, process and its start, which tells it from a later process of the same number."""
    process = psutil.Process()
    return f"{socket.gethostname()}/{process.pid}/{process.create_time()}"


@contextmanager
def containers_of(run: str) -> Generator[None]:
    """Removes the run's containers at the end. Entered in the child that outlives the run."""
    client = _engine()
    try:
        yield
    finally:
        deadline = time.monotonic() + UNFINISHED_S
        while not _remove(_labelled(client, f"{LABEL_RUN}={run}")) and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL_S)


def _clean() -> tuple[str, ...]:
    try:
        client = _engine()
    except ProvisioningError:
        return ()
    left = [container for container in _labelled(client, LABEL_PROCESS) if _is_abandoned(container)]
    _remove(left)
    client.client.close()
    return tuple(f"container {container.name}" for container in left)


def _labelled(client: DockerClient, label: str) -> list[Container]:
    return client.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)


def _is_abandoned(container: Container) -> bool:
    host, pid, started = container.labels[LABEL_PROCESS].rsplit("/", 2)
    if host != socket.gethostname():
        return False
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(started)) > CLOCK_ERROR_S
    except psutil.NoSuchProcess:
        return True


def _remove(containers: list[Container]) -> bool:
    """Whether there was any. One that goes meanwhile is gone as well."""
    for container in containers:
        try:
            container.remove(force=True, v=True)
        except NotFound:
            continue
        except APIError as error:
            if "already in progress" not in str(error):
                raise ProvisioningError(f"The container {container.name} could not be removed: {error}") from error
    return bool(containers)
