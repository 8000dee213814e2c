"""The container files, without an engine: parsed, and their commands run against real folders."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from node.demo.free_ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


# --- parsed -------------------------------------------------------------------------------------


def instructions(name: str) -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.partition(" ")[2] for line in joined.splitlines() if line.startswith(f"{name} ")]


def test_image_installs_the_locked_packages_by_their_hashes() -> None:
    assert all(base.startswith("python:3.11-slim") for base in instructions("FROM"))
    installs = [run for run in instructions("RUN") if "pip install" in run]
    assert len(installs) == 1
    assert "--require-hashes -r /tmp/runtime.lock" in installs[0]


def test_image_runs_as_a_user_without_rights() -> None:
    assert instructions("USER") == ["tefca"]
    assert any("useradd" in run and "tefca" in run for run in instructions("RUN"))


def test_image_copies_only_what_exists_and_is_not_ignored() -> None:
    ignore = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = [line.removeprefix("!") for line in ignore if line.startswith("!")]
    copied = [copy.split()[0] for copy in instructions("COPY") if not copy.startswith("--from")]
    assert ignore[0] == "*"
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert [name for name in copied if name not in allowed] == []


def test_every_mount_is_a_declared_volume_and_a_folder_of_the_image() -> None:
    made = " ".join(instructions("RUN"))
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            volume, folder = mount.split(":")
            assert volume in COMPOSE["volumes"], name
            assert name == "postgres" or f" {folder}" in made, name


def test_nodes_wait_for_their_homes_and_the_database() -> None:
    for name in ("lake", "hill"):
        needs = SERVICES[name]["depends_on"]
        assert needs["join"] == {"condition": "service_completed_successfully"}
    assert SERVICES["lake"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert SERVICES["join"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert "healthcheck" in SERVICES["postgres"]


def test_no_password_stands_in_the_files() -> None:
    password = SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"]
    url = SERVICES["lake"]["environment"]["DATABASE_URL"]
    assert password.startswith("${POSTGRES_PASSWORD:?")
    assert re.search(r"://tefca:\$\{POSTGRES_PASSWORD\}@postgres/", url)


# --- run ----------------------------------------------------------------------------------------


@contextmanager
def running(service: str, homes: Path, env: dict[str, str]) -> Iterator[None]:
    """Run a service's command with its environment; the home is that of the compose file."""
    assert SERVICES[service]["environment"]["TEFCA_NODE_HOME"] == f"/homes/{service}"
    log = homes / f"{service}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["tefca-node", *SERVICES[service]["command"]],
            env=env | {"TEFCA_NODE_HOME": str(homes / service)},
            cwd=homes, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(20)
        finally:
            process.kill()
    assert code == 0, log.read_text()


def healthy(port: int, env: dict[str, str]) -> None:
    """Wait until the image's own health check says so."""
    check = json.loads(DOCKERFILE.partition("HEALTHCHECK")[2].partition("CMD ")[2].splitlines()[0])
    assert ":8445/" in check[-1]
    command = [part.replace(":8445/", f":{port}/") for part in check]
    for _ in range(60):
        done = subprocess.run(command, env=env, check=False, capture_output=True, timeout=30)
        if done.returncode == 0:
            return
        time.sleep(0.5)
    pytest.fail(f"the node is not healthy: {done.stderr.decode()}")


@pytest.mark.e2e
@pytest.mark.postgres
@pytest.mark.timeout(560)
def test_services_exchange_a_document_without_an_engine(
    tmp_path: Path, postgres_url: str, warm_start: Path
) -> None:
    ports = free_ports(8)
    assert instructions("ENTRYPOINT") == ['["tefca-node"]']
    assert SERVICES["join"]["entrypoint"] == ["join.sh"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("TEFCA_NODE")}
    env |= {
        "PATH": f"{warm_start}:{ROOT / 'docker'}:{Path(sys.executable).parent}:{env['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": postgres_url,
        "HOMES": str(tmp_path),
        "ADDRESS": "127.0.0.1",
        "RECORDS": str(ROOT / "examples" / "records"),
    }
    for name, numbers in (("LAKE", ports[:4]), ("HILL", ports[4:])):
        soap, grpc, ops, console = numbers
        env[f"{name}_URL"] = f"https://localhost:{soap}"
        env[f"{name}_PORTS"] = (
            f"--port {soap} --grpc-port {grpc} --ops-port {ops} --console-port {console}"
        )
    for _ in range(2):  # the second run finds the homes and leaves them
        done = subprocess.run(
            ["join.sh"], env=env, check=False, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "there already" in done.stdout
    assert postgres_url not in (tmp_path / "lake" / "node.toml").read_text()

    with running("lake", tmp_path, env), running("hill", tmp_path, env):
        healthy(ports[2], env)
        healthy(ports[6], env)
        asked = subprocess.run(
            [
                "tefca-node", "query", "chart", "--purpose", "T-TRTMNT", "--node",
                f"localhost:{ports[1]}", "--family", "Brightwater", "--given", "Orsolya",
                "--birth-date", "1981-07-09", "--json", "--save", tmp_path / "saved",
            ],
            env=env | {"TEFCA_NODE_HOME": str(tmp_path / "lake")},
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert asked.returncode == 0, asked.stdout + asked.stderr
    answer = json.loads(asked.stdout)
    assert [leg["outcome"] for leg in answer["legs"]] == ["ok"] * 3
    original = (ROOT / "examples" / "records" / "summary.xml").read_bytes()
    assert Path(answer["documents"][0]["path"]).read_bytes() == original
    assert not (tmp_path / "lake" / "node.db").exists()
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(
            "SELECT count(*) FROM ledger_entry WHERE kind = 'exchange'"
        ).fetchone() == (3,)
