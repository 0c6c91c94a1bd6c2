"""What ``deploy/`` has for Jaeger, Prometheus and Grafana: valid, of this version, and about metrics that there are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import NEEDS_PROMTOOL, PROMTOOL, ROOT
from loom.testing import LoomServer

with warnings.catch_warnings():
    # Its newer schema is for Grafana's own API; files are provisioned in this one.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models import dashboard

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus/rules"
DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))


def promtool(*arguments: str | Path) -> None:
    assert PROMTOOL is not None
    said = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def panels(path: Path) -> list[dict[str, Any]]:
    every: list[dict[str, Any]] = json.loads(path.read_text())["panels"]
    return [panel for panel in every if panel["type"] != "row"]


def expressions(path: Path) -> list[str]:
    return [target["expr"] for panel in panels(path) for target in panel["targets"]]


def test_the_containers_are_pinned_have_their_files_and_keep_to_the_machine() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert compose["services"].keys() == {"jaeger", "prometheus", "grafana"}
    for name, service in compose["services"].items():
        assert re.fullmatch(r"\w+/\w+:v?\d+\.\d+\.\d+", service["image"]), name
        assert service["network_mode"] == "host", f"{name}: Loom listens on loopback"
        for volume in service["volumes"]:
            source, _, rest = volume.partition(":")
            if source.startswith("./"):
                assert (DEPLOY / source).is_dir(), volume
                assert rest.endswith(":ro"), volume
            else:
                assert source in compose["volumes"], volume
    # What listens says where: the default of each is every address of the machine.
    prometheus, grafana = compose["services"]["prometheus"], compose["services"]["grafana"]
    assert "--web.listen-address=127.0.0.1:9090" in prometheus["command"]
    assert grafana["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_jaeger_reads_this_machines_loom_and_adds_nothing_to_it() -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["jaeger"]
    assert service["command"] == ["--config=/etc/jaeger/config.yaml"]
    assert service["volumes"] == ["./jaeger:/etc/jaeger:ro"]
    text = (DEPLOY / "jaeger/config.yaml").read_text()
    extensions = yaml.safe_load(text)["extensions"]
    query = extensions["jaeger_query"]
    backend = extensions["jaeger_storage"]["backends"][query["storage"]["traces"]]
    assert backend["grpc"]["endpoint"] == "127.0.0.1:4317"
    assert query["http"]["endpoint"] == "127.0.0.1:16686"
    assert query["grpc"]["endpoint"] == "127.0.0.1:16685"
    assert text.count("endpoint:") == 3
    # Its own spans would go to port 4317 too, whatever its pipelines are.
    assert query["enable_tracing"] is False


@NEEDS_PROMTOOL
def test_the_rules_do_what_they_say() -> None:
    promtool("check", "config", DEPLOY / "prometheus/prometheus.yml")
    promtool("test", "rules", RULES / "loom_test.yml")


@NEEDS_PROMTOOL
@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_prometheus_understands_every_expression(path: Path, tmp_path: Path) -> None:
    plain = [text.replace("$__rate_interval", "5m").replace("$instance", ".+") for text in expressions(path)]
    assert plain
    assert not [text for text in plain if "$" in text]
    rules = [{"record": f"expression:{number}", "expr": text} for number, text in enumerate(plain)]
    # What is JSON is YAML.
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)


def test_the_dashboards_are_what_the_generator_writes() -> None:
    program = "import generate, json; print(json.dumps({path.name: text for path, text in generate.files().items()}))"
    made = subprocess.run(
        [sys.executable, "-c", program],
        cwd=DEPLOY / "grafana",
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(made.stdout) == {path.name: path.read_text() for path in DASHBOARDS}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_one_of_grafanas(path: Path) -> None:
    """It has no field that Grafana's own types do not have: such a one would be lost on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        register_default_plugins()
    stored = json.loads(path.read_text())
    read = dashboard.Dashboard.from_json(stored)
    assert json.loads(JSONEncoder(sort_keys=True).encode(read)) == stored
    assert stored["uid"] == path.stem
    for panel in panels(path):
        assert panel["datasource"]["uid"] == "${prometheus}", panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert len(set(legends)) == len(legends), panel["title"]
    assert not re.search(r"https?://", path.read_text()), "it is used on another machine"


def test_every_metric_is_one_of_a_real_server(server: LoomServer) -> None:
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10) as reply:
        told = dict(re.findall(r"^# TYPE (\S+) (\S+)$", reply.read().decode(), re.MULTILINE))
    there = {name for name, kind in told.items() if kind != "histogram"}
    for name in told.keys() - there:
        there |= {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
    texts = [*(text for path in DASHBOARDS for text in expressions(path)), (RULES / "loom.yml").read_text()]
    # Names of recorded rules have colons.
    named = {name for text in texts for name in re.findall(r"(?<![:\w])loom_\w+(?!:)\b", text)}
    assert len(named) > 30
    assert named <= there, named - there
