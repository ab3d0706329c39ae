"""What kubectl builds from the manifests is valid, safe, and agrees with images, API and commands.

No cluster is needed, so nothing here says that one would run it.
"""

from __future__ import annotations

import copy
import itertools
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from baking import BakedProject
from combinations import options
from conftest import Bake
from emulators import UV_TOOL
from kubernetes_validate import ValidationError, validate
from running import environment

Manifest = dict[str, Any]

KUBERNETES = "1.32"
STAGES = ("staging", "production")
DECIDING = ("serving", "monitoring", "tracking")
"""The questions by whose answers manifests are left out."""

COMBINATIONS = [
    dict(zip(DECIDING, choices, strict=True))
    for choices in itertools.product(*(options()[question] for question in DECIDING))
]

each_project = pytest.mark.parametrize(
    "answers", COMBINATIONS, ids=lambda answers: "-".join(answers.values())
)
with_api = pytest.mark.parametrize("serving", ["fastapi", "flask"])


def bake_for(bake: Bake, answers: dict[str, str]) -> BakedProject:
    return bake(project_slug="penguins", containers="kubernetes", **answers)


@cache
def build(project: Path, stage: str) -> str:
    """Return what `kubectl apply -k` would send for a stage."""
    overlay = project / "deploy" / "kubernetes" / "overlays" / stage
    done = subprocess.run(["kubectl", "kustomize", overlay], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "kustomize warns"
    return done.stdout


def objects(project: BakedProject, stage: str = "production") -> dict[tuple[str, str], Manifest]:
    """Return the objects of a stage by kind and name."""
    manifests = list(yaml.safe_load_all(build(project.path, stage)))
    found = {(each["kind"], each["metadata"]["name"]): each for each in manifests}
    assert len(found) == len(manifests)
    return found


def templates(project: BakedProject, stage: str = "production") -> Iterator[tuple[str, Manifest]]:
    """Yield the name and the pod template of each object that has one."""
    for (kind, name), each in objects(project, stage).items():
        if kind == "Deployment":
            yield name, each["spec"]["template"]
        if kind == "CronJob":
            yield name, each["spec"]["jobTemplate"]["spec"]["template"]


def only_container(template: Manifest) -> Manifest:
    (container,) = template["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def folders(project: BakedProject) -> dict[str, str]:
    """Return the folders of a project's artifacts by the names that its package gives them."""
    config = project.texts[f"src/{project.package}/config.py"]
    return dict(re.findall(r'^    (\w+) = _folder\("(.+)"\)', config, re.MULTILINE))


def labels_match(selector: Manifest, template: Manifest) -> bool:
    return set(selector["matchLabels"].items()) <= set(template["metadata"]["labels"].items())


@pytest.mark.parametrize("stage", STAGES)
@each_project
def test_every_object_is_one_that_kubernetes_takes(bake: Bake, answers: dict[str, str], stage: str) -> None:
    for each in objects(bake_for(bake, answers), stage).values():
        validate(each, KUBERNETES, strict=True)


def test_what_kubernetes_refuses_is_refused_here(bake: Bake) -> None:
    deployment = objects(bake_for(bake, {}))["Deployment", "api"]
    unknown, wrong = copy.deepcopy(deployment), copy.deepcopy(deployment)
    only_container(unknown["spec"]["template"])["readyProbe"] = {}
    wrong["spec"]["minReadySeconds"] = "soon"
    for broken in (unknown, wrong):
        with pytest.raises(ValidationError):
            validate(broken, KUBERNETES, strict=True)


@each_project
def test_there_is_what_the_answers_ask_for_and_no_secret(bake: Bake, answers: dict[str, str]) -> None:
    project = bake_for(bake, answers)
    jobs = {"retrain", "files"} | ({"drift"} if answers["monitoring"] == "drift" else set())
    serves = answers["serving"] != "none"
    logs = serves and answers["monitoring"] == "drift"
    assert {name for kind, name in objects(project) if kind == "CronJob"} == jobs
    assert {name for kind, name in objects(project) if kind == "PersistentVolumeClaim"} == (
        {"pipeline", "shared"} if logs else {"pipeline"}
    )
    kinds = {kind for kind, _ in objects(project)}
    api = {"Deployment", "Service", "Ingress", "HorizontalPodAutoscaler", "PodDisruptionBudget"}
    assert kinds & api == (api if serves else set())
    assert "Secret" not in kinds


@pytest.mark.parametrize("stage", STAGES)
@each_project
def test_every_pod_is_as_the_restricted_standard_wants_it(
    bake: Bake, answers: dict[str, str], stage: str
) -> None:
    project = bake_for(bake, answers)
    namespace = objects(project, stage)["Namespace", f"penguins-{stage}"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    users = re.findall(r"(?:USER |RUN_AS=)(\d+):(\d+)", project.texts["deploy/docker/training.Dockerfile"])
    for _, template in templates(project, stage):
        pod, container = template["spec"]["securityContext"], only_container(template)
        assert pod["runAsNonRoot"] is True
        assert [(str(pod["runAsUser"]), str(pod["runAsGroup"]))] == users
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert template["spec"]["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]) == {"requests", "limits"}


@pytest.mark.parametrize("stage", STAGES)
@each_project
def test_every_image_is_one_that_the_project_builds(bake: Bake, answers: dict[str, str], stage: str) -> None:
    project = bake_for(bake, answers)
    built = {"training": "penguins-training:0.1.0"}
    if answers["serving"] != "none":
        built["serving"] = "penguins:0.1.0-v1"
    used = {only_container(template)["image"] for _, template in templates(project, stage)}
    assert used == set(built.values())
    assert [name for name in built if f"deploy/docker/{name}.Dockerfile" not in project.files] == []
    assert project.settings["project"]["version"] == "0.1.0"


@each_project
def test_jobs_run_commands_of_the_project_where_it_can_write_all_that_it_makes(
    bake: Bake, answers: dict[str, str]
) -> None:
    project = bake_for(bake, answers)
    commands = set(re.findall(r"^def (\w+)", project.texts[f"src/{project.package}/cli.py"], re.MULTILINE))
    paths = folders(project).values()
    for name, template in templates(project):
        if name == "api":
            continue
        container = only_container(template)
        assert container.get("args", ["pipeline"])[0] in commands
        mounts = [
            Path(mount["mountPath"]) for mount in container["volumeMounts"] if not mount.get("readOnly")
        ]
        assert [path for path in paths if not any(Path("/app", path).is_relative_to(m) for m in mounts)] == []
        assert Path("/tmp") in mounts  # noqa: S108


@each_project
def test_every_volume_that_is_mounted_is_there(bake: Bake, answers: dict[str, str]) -> None:
    project = bake_for(bake, answers)
    for _, template in templates(project):
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        assert {mount["name"] for mount in only_container(template)["volumeMounts"]} == set(volumes)
        claims = [
            each["persistentVolumeClaim"]["claimName"] for each in volumes.values() if "emptyDir" not in each
        ]
        assert [name for name in claims if ("PersistentVolumeClaim", name) not in objects(project)] == []


@with_api
def test_the_jobs_see_the_rows_that_pods_answered_and_the_pods_what_jobs_report(
    bake: Bake, serving: str
) -> None:
    project = bake_for(bake, {"serving": serving, "monitoring": "drift"})
    logged, reports = (folders(project)[name] for name in ("requests", "reports"))
    pods = dict(templates(project))
    for name in ("api", "drift", "files"):
        mounts = {mount["mountPath"]: mount for mount in only_container(pods[name])["volumeMounts"]}
        for path in (logged, reports):
            assert mounts[f"/app/{path}"]["name"] == "shared"
            assert mounts[f"/app/{path}"]["subPath"] == Path(path).name
        assert mounts[f"/app/{reports}"].get("readOnly", False) is (name == "api")
    assert only_container(pods["drift"])["args"] == ["monitor"]
    claim = objects(project)["PersistentVolumeClaim", "shared"]
    # Pods on several nodes write to it.
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


@with_api
def test_the_api_is_asked_where_it_answers(bake: Bake, serving: str) -> None:
    project = bake_for(bake, {"serving": serving})
    source = project.texts[f"src/{project.package}/serving/{serving}_app.py"]
    routes = {*re.findall(r'@(?:keyed|public)\.\w+\(\s*"(/[^"]*)"', source)}
    routes |= {"/openapi.json", "/docs", "/swagger"}
    (port,) = map(int, re.findall(r"EXPOSE (\d+)\n", project.texts["deploy/docker/serving.Dockerfile"]))
    assert f'get("PORT", "{port}")' in project.texts["deploy/docker/start.py"]

    template = dict(templates(project))["api"]
    container, annotations = only_container(template), template["metadata"]["annotations"]
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    assert annotations["prometheus.io/port"] == str(port)
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {probe["port"] for probe in probes.values()} == {"http"}
    assert probes["readiness"]["path"] == "/health/ready"
    # What the server cannot mend by a new start must not start it again and again.
    assert probes["liveness"]["path"] == probes["startup"]["path"] == "/health/live"
    asked = {probe["path"] for probe in probes.values()} | {annotations["prometheus.io/path"]}
    (rule,) = objects(project)["Ingress", "api"]["spec"]["rules"]
    public = {path["path"] for path in rule["http"]["paths"]}
    assert asked | public <= routes
    assert "/predict" in public
    # A path of Exact is no prefix; of the others none reaches what the cluster alone may ask for.
    prefixes = [path["path"] for path in rule["http"]["paths"] if path["pathType"] == "Prefix"]
    assert [path for path in asked for prefix in prefixes if path.startswith(prefix)] == []


@with_api
def test_keys_come_from_a_secret_under_the_name_that_the_api_reads(bake: Bake, serving: str) -> None:
    project = bake_for(bake, {"serving": serving})
    service = project.texts[f"src/{project.package}/serving/service.py"]
    (variable,) = re.findall(r'KEYS_VARIABLE = "(\w+)"', service)
    container = only_container(dict(templates(project))["api"])
    reference = {"secretKeyRef": {"name": "api-keys", "key": variable}}
    assert container["env"] == [{"name": variable, "valueFrom": reference}]
    command = f"kubectl create secret generic api-keys --from-file={variable}=/dev/stdin"
    assert command in project.texts["docs/guides/kubernetes.md"]


@with_api
def test_a_pod_that_is_told_to_stop_has_time_to_answer(bake: Bake, serving: str) -> None:
    project = bake_for(bake, {"serving": serving})
    deployment = objects(project)["Deployment", "api"]
    source = project.texts[f"src/{project.package}/serving/{serving}_app.py"]
    (server,) = re.findall(r'"(?:timeout_graceful_shutdown|workers_kill_timeout)": (\d+)', source)
    template = deployment["spec"]["template"]
    waits = only_container(template)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert waits >= 5
    assert template["spec"]["terminationGracePeriodSeconds"] > waits + int(server) + 5
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@with_api
def test_whatever_selects_pods_of_the_api_finds_them(bake: Bake, serving: str) -> None:
    project = bake_for(bake, {"serving": serving})
    found, pods = objects(project), dict(templates(project))
    api, port = found["Deployment", "api"], only_container(pods["api"])["ports"][0]["name"]
    service = found["Service", "api"]["spec"]
    assert labels_match(api["spec"]["selector"], pods["api"])
    assert labels_match({"matchLabels": service["selector"]}, pods["api"])
    assert labels_match(found["PodDisruptionBudget", "api"]["spec"]["selector"], pods["api"])
    for constraint in pods["api"]["spec"]["topologySpreadConstraints"]:
        assert labels_match(constraint["labelSelector"], pods["api"])
    assert [each["targetPort"] for each in service["ports"]] == [port]
    scaled = found["HorizontalPodAutoscaler", "api"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == ("Deployment", "api")
    assert "replicas" not in api["spec"]


@pytest.mark.parametrize("stage", STAGES)
@each_project
def test_nothing_comes_in_or_goes_out_but_by_a_policy(
    bake: Bake, answers: dict[str, str], stage: str
) -> None:
    project = bake_for(bake, answers)
    policies = {
        name: each["spec"]
        for (kind, name), each in objects(project, stage).items()
        if kind == "NetworkPolicy"
    }
    assert policies.pop("deny") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    pods = dict(templates(project, stage))
    let_in = {
        name
        for name, template in pods.items()
        for policy in policies.values()
        if "ingress" in policy and labels_match(policy["podSelector"], template)
    }
    assert let_in == ({"api"} if answers["serving"] != "none" else set())
    unused = [
        name
        for name, policy in policies.items()
        if policy["podSelector"]
        and not any(labels_match(policy["podSelector"], pod) for pod in pods.values())
    ]
    assert unused == []
    assert ("mlflow" in policies) == (answers["tracking"] == "mlflow")


@each_project
def test_production_alone_retrains_by_itself(bake: Bake, answers: dict[str, str]) -> None:
    project = bake_for(bake, answers)
    suspended = {
        stage: {
            name for (_, name), each in objects(project, stage).items() if each.get("spec", {}).get("suspend")
        }
        for stage in STAGES
    }
    jobs = {name for kind, name in objects(project) if kind == "CronJob"}
    assert suspended == {"staging": jobs, "production": {"files"}}


@each_project
def test_the_guide_speaks_of_what_is_there(bake: Bake, answers: dict[str, str]) -> None:
    project = bake_for(bake, answers)
    guide = project.texts["docs/guides/kubernetes.md"]
    named = re.findall(r"\b(deployment|service|cronjob)/([a-z]+)", guide)
    there = {(kind.lower(), name) for kind, name in objects(project)}
    assert named
    assert set(named) - there == set()
    places = re.findall(r"`((?:base|overlays)/[\w./-]*|\w+/(?=`)|\w+\.yaml(?=`))", guide)
    folder = "deploy/kubernetes"
    missing = [
        place
        for place in places
        if f"{folder}/{place}".rstrip("/") not in project.files | project.folders
        and f"{folder}/base/{place}".rstrip("/") not in project.files | project.folders
    ]
    assert missing == []


KUBECTL = """#!/bin/sh
# A pod that is the folder VOLUME, with files of its own under /app.
case "$1" in
create) echo "$*" >> "$VOLUME/../said"; [ "$*" = "create job $3 --from=cronjob/files" ] ;;
get) echo pod/files-x ;;
wait) ;;
delete) echo "$1 $2" >> "$VOLUME/../said" ;;
exec)
    while [ "$1" != -- ]; do shift; done
    shift
    for word; do shift; set -- "$@" "$(printf %s "$word" | sed "s|/app|$VOLUME|")"; done
    exec "$@"
    ;;
*) exit 9 ;;
esac
"""


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a kubectl whose volume is a folder."""
    volume, program = tmp_path / "volume", tmp_path / "bin" / "kubectl"
    volume.mkdir()
    program.parent.mkdir()
    program.write_text(KUBECTL)
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    return environment(PATH=path, VOLUME=str(volume))


def copy_files(project: Path, cluster: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    script = project / "scripts" / "cluster_files.sh"
    return subprocess.run(
        [script, *arguments], env=cluster, capture_output=True, encoding="utf-8", timeout=60
    )


def test_files_get_to_the_volume_and_back(bake: Bake, cluster: dict[str, str], tmp_path: Path) -> None:
    volume, project = Path(cluster["VOLUME"]), tmp_path / "project"
    (project / "scripts").mkdir(parents=True)
    script = bake_for(bake, {}).path / "scripts" / "cluster_files.sh"
    (project / "scripts" / script.name).write_bytes(script.read_bytes())
    (project / "scripts" / script.name).chmod(0o755)
    table, version = Path("data/raw/a table.csv"), Path("models/versioned/v2/model.onnx")
    (project / table).parent.mkdir(parents=True)
    (project / table).write_text("1,2\n")
    assert copy_files(project, cluster, "in", "data/raw").returncode == 0
    assert (volume / table).read_text() == "1,2\n"

    (volume / version).parent.mkdir(parents=True)
    (volume / version).write_bytes(b"\0model")
    done = copy_files(project, cluster, "out", "models", "data")
    assert done.returncode == 0, done.stderr
    assert (project / version).read_bytes() == b"\0model"
    said = (tmp_path / "said").read_text().splitlines()
    assert [shlex.split(line)[0] for line in said] == ["create", "delete", "create", "delete"]

    assert copy_files(project, cluster, "out", "nothing").returncode != 0
    for wrong in (["in"], ["in", "data/none"], ["up", "data"], []):
        refused = copy_files(project, cluster, *wrong)
        assert refused.returncode == 2
        assert refused.stderr.startswith("error: ")
        assert not refused.stdout


@pytest.mark.slow
def test_checkov_finds_nothing_but_what_has_its_reason_beside_it(bake: Bake, tmp_path: Path) -> None:
    for answers in COMBINATIONS:
        for stage in STAGES:
            built = build(bake_for(bake, answers).path, stage)
            (tmp_path / f"{'-'.join(answers.values())}-{stage}.yaml").write_text(built)
    command = [*UV_TOOL, "checkov==3.3.30", "checkov", "--framework", "kubernetes", "--skip-download"]
    scan = [*command, "--compact", "--quiet", "--directory", str(tmp_path)]
    done = subprocess.run(scan, env=environment(), capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Failed checks: 0," in done.stdout

    unsafe = tmp_path / "unsafe.yaml"
    safe = build(bake_for(bake, {}).path, "production")
    unsafe.write_text(safe.replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"))
    done = subprocess.run(scan, env=environment(), capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode != 0
