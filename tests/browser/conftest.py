"""One browser for all tests, and one server with something on every page; each test has a reader of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import NO_CHROMIUM, Visitor, find_chromium, launch, visits
from playwright.sync_api import Browser, sync_playwright
from world import World
from world import world as made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if find_chromium() is None:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=NO_CHROMIUM))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visitor]:
    with visits(chromium) as visitor:
        yield visitor


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with made(tmp_path_factory.mktemp("world")) as world:
        yield world
