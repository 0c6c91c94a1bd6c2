"""From a server that has seen nothing to the first trace, as somebody does it who has read nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import Visitor
from loom.testing import LoomServer
from world import processes_on


@pytest.mark.timeout(60)
def test_from_an_empty_server_to_an_open_waterfall_in_two_clicks(visit: Visitor, tmp_path: Path) -> None:
    with LoomServer(settings="") as server:
        reader = visit(f"http://{server.http}")
        page = reader.open("/")
        page.wait_for_selector("text=Waiting for your first event")
        page.wait_for_selector("text=No agent has connected yet")
        with processes_on(server, tmp_path) as processes:
            processes.demo("trace-test", SENSOR_INTERVAL_S="0.5")
            # The map takes the place of the steps as soon as agents are there.
            page.wait_for_selector('.react-flow__node >> text="sensor-agent"')
            page.click('nav[aria-label="Pages"] >> text="Setup"')
            page.wait_for_selector("text=First full trace: 3 agents")
            page.click("text=Open trace")
            page.wait_for_selector(".wf-row")
            names = ["sensor.emit_data", "EventBus.publish", "agent.on_event"]
            for name in names:
                page.wait_for_selector(f'.wf-row:has-text("{name}")')
            shown = " ".join(reader.texts(".wf-row"))
            for agent in ("sensor-agent", "processor-agent", "output-agent"):
                assert agent in shown
