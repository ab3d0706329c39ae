"""Clouds on loopback: moto for AWS, Azurite for Azure Blob Storage, and Google's storage emulator.

Each is installed into its package manager's cache by the command that starts it, so that a clean machine
needs uv and Node.js alone.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from baking import BakedProject
from running import environment, free_port

AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Those of every Azurite, from its documentation."""

WRONG_AZURE_KEY = "d3Jvbmcga2V5" * 7 + "d3I="

UV_TOOL = ("uv", "tool", "run", "--quiet", "--exclude-newer", "2026-11-14", "--from")

MAKE_USER = """
import os
from botocore.session import Session
session = Session()
def client(service, **keys):
    address = os.environ["ENDPOINT"]
    return session.create_client(service, endpoint_url=address, region_name="us-east-1", **keys)
nobody = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nobody"}
iam = client("iam", **nobody)
iam.create_user(UserName="me")
policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
iam.put_user_policy(UserName="me", PolicyName="all", PolicyDocument=policy)
key = iam.create_access_key(UserName="me")["AccessKey"]
mine = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
client("s3", **mine).create_bucket(Bucket="bucket")
print(key["AccessKeyId"], key["SecretAccessKey"])
"""

MAKE_CONTAINER = """
import os
from azure.storage.blob import BlobServiceClient
BlobServiceClient.from_connection_string(os.environ["CONNECTION"]).create_container("bucket")
"""


@dataclass(frozen=True)
class Cloud:
    """A store: its address, settings of the remote, and variables with right and with wrong credentials."""

    url: str
    settings: dict[str, str]
    right: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


@contextmanager
def s3(project: BakedProject, folder: Path) -> Iterator[Cloud]:
    """Serve S3 to one user; others are refused."""
    port = free_port()
    command = (*UV_TOOL, "moto[server]==5.2.5", "moto_server", "-H", "127.0.0.1", "-p", str(port))
    with running(command, port, folder / "s3.log", INITIAL_NO_AUTH_ACTION_COUNT="3"):
        endpoint = f"http://127.0.0.1:{port}"
        printed = project.run(".venv/bin/python", "-c", MAKE_USER, ENDPOINT=endpoint)
        key, secret = printed.split()
        yield Cloud(
            "s3://bucket/folder",
            {"endpointurl": endpoint, "region": "us-east-1"},
            {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret},
            {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": "wrong"},
            (key, secret),
        )


@contextmanager
def aws(folder: Path, **settings: str) -> Iterator[dict[str, str]]:
    """Serve AWS, to be applied to; give the variables by which its tools find it."""
    port = free_port()
    server = str(Path(__file__).with_name("aws_emulator.py"))
    command = (*UV_TOOL, "moto[server]==5.2.5", "python", server, "-H", "127.0.0.1", "-p", str(port))
    somebody = {"AWS_ACCESS_KEY_ID": "anybody", "AWS_SECRET_ACCESS_KEY": "anything"}
    region = {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}
    itself = {"PORT": str(port), "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
    with running(command, port, folder / "aws.log", **somebody, **region, **itself, **settings):
        yield {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **somebody, **region}


@contextmanager
def azure(project: BakedProject, folder: Path) -> Iterator[Cloud]:
    """Serve Azure Blob Storage."""
    port = free_port()
    command = (
        *(
            "npm",
            "exec",
            "--yes",
            "--package",
            "azurite@3.35.0",
            "--",
            "azurite-blob",
            "--inMemoryPersistence",
        ),
        *("--blobHost", "127.0.0.1", "--blobPort", str(port), "--skipApiVersionCheck", "--disableTelemetry"),
    )

    def connection(key: str) -> str:
        endpoint = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
        account = f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT}"
        return f"{account};AccountKey={key};BlobEndpoint={endpoint};"

    with running(command, port, folder / "azure.log"):
        project.run(".venv/bin/python", "-c", MAKE_CONTAINER, CONNECTION=connection(AZURE_KEY))
        yield Cloud(
            "azure://bucket/folder",
            {},
            {"AZURE_STORAGE_CONNECTION_STRING": connection(AZURE_KEY)},
            {"AZURE_STORAGE_CONNECTION_STRING": connection(WRONG_AZURE_KEY)},
            (AZURE_KEY,),
        )


@contextmanager
def google(project: BakedProject, folder: Path) -> Iterator[Cloud]:  # noqa: ARG001 - as the others
    """Serve Google Cloud Storage, which here asks nobody for credentials."""
    port = free_port()
    command = (
        *(*UV_TOOL, "gcp-storage-emulator==2026.7.19", "gcp-storage-emulator", "start"),
        *("--host", "127.0.0.1", "--port", str(port), "--in-memory", "--default-bucket", "bucket"),
    )
    with running(command, port, folder / "google.log"):
        yield Cloud(
            "gs://bucket/folder",
            {"endpointurl": f"http://127.0.0.1:{port}"},
        )


CLOUDS: dict[str, Callable[[BakedProject, Path], object]] = {"s3": s3, "azure": azure, "google": google}


@contextmanager
def running(command: tuple[str, ...], port: int, log: Path, **variables: str) -> Iterator[None]:
    """Run a server until the block ends; raises ``RuntimeError`` with its log where it does not listen."""
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            env=environment(PYTHONUNBUFFERED="1", **variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 240
            while not listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{' '.join(command)} does not listen:\n{log.read_text('utf-8')}")
                time.sleep(0.2)
            yield
        finally:
            # The whole group: uv and npm run the server as a child.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Gate:
    """A way to a server that lets some uploads pass and then holds everything back until it is opened."""

    def __init__(self, target: int, uploads: int) -> None:
        self.port = free_port()
        self.full = threading.Event()
        self._target = target
        self._left = uploads
        self._open = threading.Event()
        self._guard = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def open(self) -> None:
        """Let everything pass from now on."""
        self._open.set()

    def close(self) -> None:
        """Take no more connections."""
        self._open.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for source, sink, counted in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._carry, args=(source, sink, counted), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if counted and data.startswith(b"PUT "):
                    self._count()
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                end.close()

    def _count(self) -> None:
        with self._guard:
            self._left -= 1
            is_full = self._left < 0
        if is_full:
            self.full.set()
            self._open.wait()
