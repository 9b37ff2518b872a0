"""The topology page in Chromium, and everything that the browser says about it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Locator, Page

from tests.fakes.kubectl import FakeKubectl
from tests.fakes.topologies import leases

PHOTOGRAPHS: Final = Path(__file__).parents[2] / "build" / "page"
_VIOLATIONS: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""
_WAIT_SECONDS: Final = 30.0


class Served:
    """`kubectl isthmus topology --serve`, which reads what a fake kubectl prints."""

    def __init__(self, plugin: Path, kubectl: FakeKubectl) -> None:
        self.kubectl = kubectl
        self._plugin = plugin

    @cached_property
    def address(self) -> str:
        """What it prints when it is started, which is when somebody asks for the address."""
        assert self._process.stdout is not None
        address = self._process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#[\w-]{43}", address), address
        return address

    @cached_property
    def _process(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(self._plugin), "topology", "--serve", "--no-browser"],
            env={"PATH": f"{self.kubectl.path}:/usr/bin:/bin"},
            stdout=subprocess.PIPE,
            text=True,
        )

    def shows(self, items: Iterable[Any]) -> None:
        """From now on kubectl prints these objects, and Leases of processes that run."""
        self.kubectl.objects(items)
        self.kubectl.leases(leases())

    def end(self) -> tuple[int, str]:
        """Interrupt it as Ctrl-C does; exit code and what it has printed meanwhile."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        printed, _ = self._process.communicate(timeout=_WAIT_SECONDS)
        return self._process.returncode, printed


class Opened:
    """The page in a tab of its own."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.messages: list[str] = []
        page.on("console", lambda message: self.messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.messages.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.messages.append(f"dialog: {dialog.message}"))
        page.add_init_script(_VIOLATIONS)

    @property
    def violations(self) -> list[str]:
        """What the content security policy has refused."""
        found: list[str] = self.page.evaluate("window.violations")
        return found

    @property
    def nodes(self) -> Locator:
        """This cloud and its peers in the picture."""
        return self.page.locator("#picture > .node")

    def node(self, peer: str) -> Locator:
        """A peer in the picture."""
        return self.page.locator(f'#picture > .node[data-peer="{peer}"]')

    def lanes(self, peer: str, kind: str) -> Locator:
        """Tunnels or networks of a peer in the picture."""
        return self.page.locator(f'#picture > .lane.{kind}[data-peer="{peer}"]')

    def row(self, name: str) -> list[str]:
        """Cells of the first row of the table with that name."""
        row = self.page.locator("#table tr").filter(has=self.page.get_by_text(name, exact=True)).first
        return row.locator("td").all_inner_texts()

    def photograph(self, name: str) -> None:
        """For whoever wants to look at it: build/page/NAME.png."""
        PHOTOGRAPHS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PHOTOGRAPHS / f"{name}.png", full_page=False)

    def focused(self) -> str:
        """Label or text of the element that the keyboard acts on."""
        found: str = self.page.evaluate(
            "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
        )
        return found


@contextmanager
def opened(browser: Browser, served: Served, **options: Any) -> Iterator[Opened]:
    """The page, drawn; at the end the console is empty and the policy has refused nothing."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    context.set_default_timeout(_WAIT_SECONDS * 1000)
    tab = Opened(context.new_page())
    tab.page.goto(served.address)
    tab.nodes.first.wait_for()
    yield tab
    assert tab.messages == []
    assert tab.violations == []
    context.close()


def seconds_until(condition: Locator) -> float:
    """How long it takes until there is such an element."""
    began_at = time.monotonic()
    condition.first.wait_for(state="attached")
    return time.monotonic() - began_at
