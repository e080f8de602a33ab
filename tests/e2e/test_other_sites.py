"""A page of another site, in a real browser, against a service without keys on the same machine."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from support.browser import ARGUMENTS, chromium
from support.live import Live, live_service
from support.other_servers import other_server

ATTACKER = "attacker.example"
ATTACK = """async ([target, day]) => {
  const person = JSON.stringify({user_id: "user-1"});
  const text = {"Content-Type": "text/plain"};
  const post = (path, body, headers) =>
    fetch(target + path, {method: "POST", mode: "no-cors", body, headers}).catch(() => null);
  await post("/erasure", person, text);
  await post("/erasure", new Blob([person]));
  await post("/event", JSON.stringify({events: [{user_id: "eve", op: "+", day}]}), text);
  await post("/event", new Blob([JSON.stringify({events: [{user_id: "eve", op: "+", day}]})]));
  await post("/publish", new URLSearchParams({a: "b"}));
  await post("/publish", new Blob(["{}"]));
  const image = path => new Promise(done => {
    const element = new Image();
    element.onload = element.onerror = done;
    element.src = target + path;
  });
  await image(`/mau?end=${day}&window=7`);
  await image(`/dau/${day}`);
  return fetch(target + "/budget").then(() => "read", () => "not read");
}"""
ATTEMPTS = 9


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = chromium()
    rule = f"--host-resolver-rules=MAP {ATTACKER} 127.0.0.1"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=[*ARGUMENTS, rule])
        yield opened
        opened.close()


@pytest.fixture
def page_of_another_site() -> Iterator[int]:
    """The port of a server with an empty page."""
    with other_server() as server:
        server.headers["Content-Type"] = "text/html"
        yield int(server.url.rpartition(":")[2])


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with live_service(tmp_path) as service:
        service.fill(days=3, daily_users=20)
        yield service


def refused(live: Live, status: int) -> float:
    """How many requests were answered so, whatever their route."""
    lines = httpx.get(f"{live.url}/metrics").text.splitlines()
    wanted = [line for line in lines if "dp_requests_total" in line and f'"{status}"' in line]
    return sum(float(line.split()[-1]) for line in wanted)


def state(live: Live) -> object:
    application = live.application
    last = application.calendar.last_closed_day().toordinal()
    with application.store.read() as reader:
        members = [sorted(reader.members(day, day)) for day in range(last - 3, last + 2)]
        return members, reader.erasures(), len(reader.ledger())


@pytest.mark.parametrize("host", [ATTACKER, "localhost"])
def test_it_can_neither_change_nor_spend_nor_read(
    browser: Browser, live: Live, page_of_another_site: int, host: str
) -> None:
    before = state(live)
    day = live.application.calendar.last_closed_day() - timedelta(days=1)
    page = browser.new_page()
    page.goto(f"http://{host}:{page_of_another_site}")
    assert page.evaluate(ATTACK, [live.url, str(day)]) == "not read"
    page.close()
    # It was the service that refused, not the browser that did not ask.
    assert refused(live, 403) == ATTEMPTS
    assert state(live) == before


def test_a_name_made_to_lead_here_gets_no_answer(browser: Browser, live: Live) -> None:
    port = live.url.rpartition(":")[2]
    page = browser.new_page()
    for path in ("/", "/budget"):
        answer = page.goto(f"http://{ATTACKER}:{port}{path}")
        assert answer is not None
        assert answer.status == 421
    page.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_dashboard_is_answered(browser: Browser, live: Live, host: str) -> None:
    port = live.url.rpartition(":")[2]
    page = browser.new_page()
    page.goto(f"http://{host}:{port}/")
    expect(page.get_by_text("DAU").first).to_be_visible(timeout=30_000)
    assert refused(live, 403) == refused(live, 421) == 0
    found = page.evaluate("() => fetch('/publish', {method: 'POST'}).then(answer => answer.status)")
    assert found == 200
    page.close()
