"""The two ways to run the services, docker-compose.yml and the Procfile, against each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
PROCFILE = (ROOT / "Procfile").read_text(encoding="utf-8")


def test_services_run_the_same_providers_in_both_files() -> None:
    composed = re.findall(r'command: \["worker", "--provider", "(\w+)"\]', COMPOSE)
    listed = re.findall(r"^worker_(\w+): penstock worker --provider \1$", PROCFILE, re.MULTILINE)
    assert composed == listed != []


def test_compose_workers_can_be_scaled() -> None:
    for name, body in re.findall(r"^  (worker-\w+):\n((?:    .*\n)+)", COMPOSE, re.MULTILINE):
        assert "container_name" not in body, name
        assert "ports:" not in body, name


def test_compose_image_has_the_version_of_the_distributions() -> None:
    project = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text(encoding="utf-8"))
    assert f"PENSTOCK_VERSION:-{project['project']['version']}}}" in COMPOSE
