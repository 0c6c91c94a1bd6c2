"""Every page in both themes: what axe objects to."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import Visitor
from pages import pages
from world import World

ALL = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES = {"light": ALL, "dark": ["color-contrast", "link-in-text-block"]}
"""By theme: all that they differ in is colours."""


@pytest.mark.timeout(240)
def test_everybody_can_use_every_page_in_both_themes(visit: Visitor, world: World) -> None:
    reader = visit(world.origin, still=True)
    findings: list[str] = []
    for name, path, ready in pages(world.server.http):
        page = reader.open(path)
        page.wait_for_selector(ready)
        for theme, rules in RULES.items():
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            reader.frame()
            found = Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]})
            for violation in found.response["violations"]:
                where = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
                findings.append(f"{name}, {theme}: {violation['id']}: {violation['help']}: {where}")
    assert not findings, "\n".join(findings)
