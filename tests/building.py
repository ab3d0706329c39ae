"""Docker, or what stands in for it where no daemon answers: podman, and images made of what is here.

The commands are Docker's, also those of a project's Makefile: without a daemon, a `docker` on the PATH
hands them to podman. No registry need be reached then: the image of Python is made of Debian's packages and a
Python of this machine, that of uv of the uv that is here. All lies in a store apart from the user's images.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulators import UV_TOOL
from interpreters import interpreter_for
from running import ask, environment, free_port

STORE = Path.home() / ".cache" / "cookiecutter-mlops-containers"
"""Where images lie that podman builds. What they stand in for must never be taken for them elsewhere."""

PYTHON = "3.11"
"""What the images that tests build begin with."""

TOOLS = ("podman", "debootstrap", "crun", "nsenter", "unshare", "ip")
COMPOSE = (*UV_TOOL, "podman-compose==1.6.0", "podman-compose")
UV_IMAGE = "ghcr.io/astral-sh/uv:0.13.8"
PROMETHEUS_IMAGE = "docker.io/prom/prometheus:v3.5.0"
GRAFANA_IMAGE = "docker.io/grafana/grafana:12.2.0"

DEBIAN = (
    "ca-certificates,libssl3,libffi8,libsqlite3-0,libbz2-1.0,liblzma5,zlib1g,libreadline8,libncursesw6,"
    "libuuid1,libexpat1,netbase,tzdata"
)
"""What Python's own image has of Debian, as far as Python needs it."""

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

CONFIGURATION = """[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000", "memlock=8388608:8388608"]
cgroups = "disabled"
{network}
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
[network]
network_backend = "netavark"
"""

STORAGE = """[storage]
driver = "overlay"
runroot = "{store}/run"
graphroot = "{store}/images"
"""

SHIM = """#!/bin/sh
# Docker's commands, by podman, where it can work without systemd.
export BUILDAH_FORMAT=docker BUILDAH_ISOLATION=chroot
export CONTAINERS_STORAGE_CONF={store}/storage.conf CONTAINERS_CONF={store}/host.conf
command=$1
case $command in
  build) shift; exec {host} podman build --network host --pull-never "$@" ;;
  compose)
    shift
    for word; do shift; [ "$word" = --wait ] || set -- "$@" "$word"; done  # unknown there
    export CONTAINERS_CONF={store}/bridge.conf UV_OFFLINE=1
    exec {bridge} {compose} "$@" ;;
  *) exec {host} podman "$@" ;;
esac
"""

ASK = """
import json, sys
from running import ask
url, body, headers = json.loads(sys.argv[1])
print(json.dumps(ask(url, body and body.encode(), headers)))
"""


@dataclass(frozen=True)
class Docker:
    """What does as `docker` says: its variables, and the words before a command in Compose's network."""

    variables: Mapping[str, str]
    beside_compose: tuple[str, ...] = ()

    def run(self, *arguments: str, cwd: Path | None = None, fails: bool = False) -> str:
        """Run a command and return what it printed; raises ``AssertionError`` unless it ends so."""
        done = subprocess.run(
            ["docker", *arguments],
            cwd=cwd,
            env=environment(**self.variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=900,
        )
        assert (done.returncode != 0) is fails, f"docker {' '.join(arguments)}:\n{done.stdout}"
        return done.stdout

    def ask(
        self, url: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send one request where Compose publishes its ports; return what ``running.ask`` does."""
        done = subprocess.run(
            [*self.beside_compose, sys.executable, "-c", ASK, json.dumps([url, body, headers])],
            env=environment(PYTHONPATH=str(Path(__file__).parents[1] / "scripts")),
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        status, answer = json.loads(done.stdout)
        return status, answer


@dataclass(frozen=True)
class Container:
    """A container that runs in the background, and the port of loopback that it was told to listen on."""

    docker: Docker
    name: str
    port: int

    @property
    def address(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}"

    def wait_until(self, path: str, status: int = 200, timeout: float = 60) -> None:
        """Wait for an answer; raises ``AssertionError`` with the log where it does not come."""
        deadline = time.monotonic() + timeout
        while (answer := ask(f"{self.address}{path}")[0]) != status:
            assert time.monotonic() < deadline, f"{path} answers {answer}:\n{self.log()}"
            time.sleep(0.1)

    def log(self) -> str:
        """Return what it printed."""
        return self.docker.run("logs", self.name)

    def exit_code(self) -> int:
        """Wait for its end, and return the code that it ended with."""
        # Podman may complain of something beside.
        [code] = [line for line in self.docker.run("wait", self.name).splitlines() if line.isdigit()]
        return int(code)


@contextmanager
def started(docker: Docker, image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
    """Run an image in this machine's network, able to write to /tmp alone, until the block ends."""
    port = free_port()
    name = f"test-{port}"
    isolation = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--network", "host")  # noqa: S108
    docker.run(
        "run", "--detach", "--name", name, *isolation, "--env", f"PORT={port}", *options, image, *command
    )
    try:
        yield Container(docker, name, port)
    finally:
        docker.run("rm", "--force", name)


def is_daemon_here() -> bool:
    """Tell whether a Docker daemon answers."""
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=30).returncode == 0


def lacking() -> list[str]:
    """Return what is missing for images to be built without a daemon."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return missing if is_root else [*missing, "the rights of root"]


@contextmanager
def docker_or_podman(folder: Path, python_version: str) -> Iterator[Docker]:
    """Give Docker; without a daemon, podman under its name, with images to build on for one Python."""
    if is_daemon_here():
        docker = Docker({"BUILDKIT_PROGRESS": "plain"})
        docker.run("pull", f"python:{python_version}-slim-bookworm")  # to be compared with
        yield docker
        return
    with namespaces("--mount") as host, namespaces("--mount", "--net") as bridge:
        docker = set_up(folder, host, bridge)
        import fcntl  # which Windows lacks

        with (STORE / "lock").open("w") as lock:  # others may run the tests, too
            fcntl.flock(lock, fcntl.LOCK_EX)
            provide_images(docker, folder, python_version)
        yield docker


@contextmanager
def namespaces(*kinds: str) -> Iterator[tuple[str, ...]]:
    """Hold namespaces with control groups of version 2; give the words that run a command in them."""
    prepare = "umount -lR /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup"
    if "--net" in kinds:  # with a name server of its own, which keeps its state there
        prepare += "; ip link set lo up; mkdir -p /run/containers; mount -t tmpfs none /run/containers"
    command = [
        "unshare",
        *kinds,
        "--propagation",
        "private",
        "sh",
        "-c",
        f"{prepare}; echo; exec sleep infinity",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()  # now it is prepared
        try:
            yield ("nsenter", "--target", str(process.pid), *kinds)
        finally:
            for each in [*neighbours(process.pid, "net" if "--net" in kinds else "mnt")]:
                os.kill(each, signal.SIGKILL)


def neighbours(process: int, kind: str) -> Iterator[int]:
    """Yield the processes of a namespace made here: the one that holds it, and what was left running."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if (folder / "ns" / kind).readlink() == Path(f"/proc/{process}/ns/{kind}").readlink():
                yield int(folder.name)


def set_up(folder: Path, host: tuple[str, ...], bridge: tuple[str, ...]) -> Docker:
    """Write podman's settings, and a program `docker` into a folder of the PATH."""
    STORE.mkdir(parents=True, exist_ok=True)
    (STORE / "storage.conf").write_text(STORAGE.format(store=STORE))
    (STORE / "host.conf").write_text(CONFIGURATION.format(network='netns = "host"'))
    (STORE / "bridge.conf").write_text(CONFIGURATION.format(network=""))
    shim = folder / "bin" / "docker"
    shim.parent.mkdir()
    inside, beside = (f'{" ".join(words)} --wd="$PWD" --' for words in (host, bridge))
    text = SHIM.format(store=STORE, host=inside, bridge=beside, compose=" ".join(COMPOSE))
    shim.write_text(text)
    shim.chmod(0o755)
    subprocess.run([*COMPOSE, "--version"], env=environment(), capture_output=True, check=True)
    path = environment()["PATH"]
    return Docker({"PATH": f"{shim.parent}{os.pathsep}{path}"}, bridge)


def provide_images(docker: Docker, folder: Path, python_version: str) -> None:
    """Make the images that Dockerfiles and Compose begin with, where they are not in the store yet."""
    python_image = f"docker.io/library/python:{python_version}-slim-bookworm"
    if not has_image(docker, python_image):
        make_python(folder / "python", python_version)
        settings = ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", f"SSL_CERT_FILE={CERTIFICATES}"]
        import_image(docker, folder / "python", python_image, *(f"ENV {setting}" for setting in settings))
    for image, place, libraries in (
        (UV_IMAGE, "/uv", ()),
        (
            PROMETHEUS_IMAGE,
            "/bin/prometheus",
            ("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"),
        ),
    ):
        name = Path(place).name
        program = shutil.which(name, path=environment()["PATH"])
        if program and not has_image(docker, image):
            for file, target in ((program, place), *zip(libraries, libraries, strict=True)):
                copied = folder / name / target.lstrip("/")
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copied)
            import_image(docker, folder / name, image, f'ENTRYPOINT ["{place}"]')
    if not has_image(docker, GRAFANA_IMAGE):
        # No package manager has it: what is started under its name does nothing.
        name = docker.run("create", python_image, "sleep", "infinity").split()[-1]
        docker.run("commit", "--change", 'CMD ["sleep", "infinity"]', name, GRAFANA_IMAGE)
        docker.run("rm", name)


def has_image(docker: Docker, image: str) -> bool:
    """Tell whether the store has an image."""
    return image in docker.run("images", "--format", "{{.Repository}}:{{.Tag}}").split()


def import_image(docker: Docker, root: Path, image: str, *changes: str) -> None:
    """Make an image of one layer out of a folder."""
    archive = root.with_suffix(".tar")
    subprocess.run(["tar", "--create", "--directory", root, "--file", archive, "."], check=True)
    docker.run("import", *(word for change in changes for word in ("--change", change)), str(archive), image)
    archive.unlink()


def make_python(root: Path, version: str) -> None:
    """Lay out Debian with a Python of this machine, and the certificates that this machine trusts."""
    command = ["debootstrap", "--variant=minbase", f"--include={DEBIAN}", "bookworm", str(root)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-2000:]
    home = interpreter_for(version).resolve().parents[1]
    usual = shutil.ignore_patterns("site-packages", "test", "__pycache__", "config-*")
    shutil.copytree(home / "lib", root / "usr/local/lib", symlinks=True, ignore=usual, dirs_exist_ok=True)
    shutil.copytree(home / "include", root / "usr/local/include", symlinks=True, dirs_exist_ok=True)
    program = interpreter_for(version).resolve()
    shutil.copy(program, root / "usr/local/bin")
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to(program.name)
    shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
    subprocess.run(["chroot", root, "ldconfig"], check=True)
