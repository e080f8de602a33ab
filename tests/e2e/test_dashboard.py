"""The dashboard in a real browser, on a real service whose clock stands still."""

import re
from collections.abc import Iterator
from csv import DictReader
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dpdau.model.releases import Metric
from support.browser import ARGUMENTS, chromium
from support.live import Live, live_service

READ_KEY = "read-key-0123456789"
INGEST_KEY = "ingest-key-0123456789"
ADMIN_KEY = "admin-key-0123456789"
DAYS = 45
PROBLEM = {"content-type": "application/problem+json"}
LIMITED = '{"type": "rate-limited", "title": "Too many requests", "status": 429, "detail": "Wait."}'
EXHAUSTED = (
    '{"type": "budget-exhausted", "title": "Budget exhausted", "status": 429, "detail": "Spent."}'
)
INKED = """box => [...box.querySelectorAll("canvas")].map(canvas =>
  new Set(new Uint32Array(canvas.getContext("2d")
    .getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size)"""


expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = chromium()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_service(tmp_path_factory.mktemp("filled"), w_bound_mau=2) as live:
        live.fill(DAYS, 150)
        yield live


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    keys = {"read_api_key": READ_KEY, "ingest_api_key": INGEST_KEY, "admin_api_key": ADMIN_KEY}
    with live_service(tmp_path_factory.mktemp("locked"), **keys) as live:
        yield live


@dataclass
class Visit:
    """Pages of one test and what happened on them."""

    browser: Browser
    pages: list[Page] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    def open(self, url: str, **options: Any) -> Page:
        page = self.browser.new_page(**options)
        self.pages.append(page)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda told: self.faults.append(told.text))
        page.on("request", lambda asked: self.addresses.append(asked.url))
        page.goto(url)
        return page


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    opened = Visit(browser)
    yield opened
    for page in opened.pages:
        page.close()


def series(page: Page, name: str) -> Any:
    return page.locator(f"[data-series={name}]")


def is_loaded(page: Page) -> None:
    expect(page.locator("#status")).to_contain_text("Showing")


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def shown_rows(page: Page, name: str) -> list[list[str]]:
    series(page, name).get_by_text("Values as a table").click()
    rows = series(page, name).locator("tbody tr")
    return [row.locator("th, td").all_inner_texts() for row in rows.all()]


def assert_accessible(page: Page) -> None:
    violations = Axe().run(page).response["violations"]
    grave = [each for each in violations if each["impact"] in {"serious", "critical"}]
    assert grave == [], [(each["id"], each["nodes"][0]["html"]) for each in grave]


def test_it_draws_the_published_values_without_a_fault_or_another_host(
    visit: Visit, filled: Live
) -> None:
    page = visit.open(filled.url)
    is_loaded(page)
    for name in ("dau", "mau", "stickiness"):
        (colours,) = series(page, name).locator(".chart").evaluate(INKED)
        assert colours > 10
    assert visit.faults == []
    assert {urlsplit(address).netloc for address in visit.addresses} == {
        urlsplit(filled.url).netloc
    }


@pytest.mark.parametrize("metric", Metric)
def test_the_table_holds_what_the_api_says(visit: Visit, filled: Live, metric: Metric) -> None:
    page = visit.open(filled.url)
    is_loaded(page)
    answer = httpx.get(f"{filled.url}/series/{metric}?publish=false").json()
    wanted = [
        [each["day"], *(f"{each[name]:,.0f}" for name in ("estimate", "lower_95", "upper_95"))]
        for each in reversed(answer["releases"])
    ]
    found = shown_rows(page, metric)
    assert [row[:2] for row in found] == [row[:2] for row in wanted]
    # Halves are rounded to even here and away from zero there.
    bounds = [
        (int(a.replace(",", "")), int(b.replace(",", "")))
        for row, other in zip(found, wanted, strict=True)
        for a, b in zip(row[2:], other[2:], strict=True)
    ]
    assert all(abs(a - b) <= 1 for a, b in bounds)
    assert len(found) == 19


def test_the_range_can_be_chosen(visit: Visit, filled: Live) -> None:
    page = visit.open(filled.url)
    is_loaded(page)
    page.get_by_role("button", name="90 days").click()
    expect(page.locator("#status")).to_contain_text("22 Aug 2025")
    assert len(shown_rows(page, "dau")) > 19
    page.get_by_role("button", name="Custom").click()
    page.get_by_label("From").fill("2025-11-03")
    page.get_by_label("To", exact=True).fill("2025-11-05")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#status")).to_contain_text("5 Nov 2025")
    assert [row[0] for row in shown_rows(page, "mau")] == ["2025-11-05", "2025-11-04", "2025-11-03"]


def test_a_look_spends_nothing(visit: Visit, filled: Live) -> None:
    before = filled.application.ledger()
    page = visit.open(filled.url)
    is_loaded(page)
    page.get_by_role("button", name="90 days").click()
    expect(page.locator("#status")).to_contain_text("22 Aug 2025")
    page.get_by_text("DAU in 2025-11").click()
    expect(page.get_by_text("No strategy has less than")).to_be_visible()
    assert filled.application.ledger() == before


def test_days_are_told_to_keys_and_pointers(visit: Visit, filled: Live) -> None:
    page = visit.open(filled.url)
    is_loaded(page)
    chart = series(page, "dau").get_by_role("slider")
    chart.focus()
    page.keyboard.press("ArrowLeft")
    expect(chart).to_have_attribute(
        "aria-valuetext", re.compile("18 Nov 2025: about .* 95 % between")
    )
    page.keyboard.press("Home")
    expect(series(page, "mau").locator(".day")).to_have_text("Sat, 1 Nov 2025")
    chart.blur()
    series(page, "mau").locator(".u-over").hover()
    expect(series(page, "stickiness").locator(".day")).to_have_text("Mon, 10 Nov 2025")


def test_values_are_saved_as_csv(visit: Visit, filled: Live, tmp_path: Path) -> None:
    page = visit.open(filled.url)
    is_loaded(page)
    with page.expect_download() as saved:
        series(page, "stickiness").get_by_role("button", name="CSV").click()
    saved.value.save_as(tmp_path / "saved.csv")
    with (tmp_path / "saved.csv").open(encoding="utf-8") as file:
        rows = list(DictReader(file))
    assert saved.value.suggested_filename == "stickiness-2025-11-01-2025-11-19.csv"
    assert len(rows) == 19
    assert all(0 <= float(row["lower_95"]) <= float(row["upper_95"]) <= 1 for row in rows)


def test_the_planner_follows_its_sliders(visit: Visit, filled: Live) -> None:
    page = visit.open(f"{filled.url}/#planner")
    advice = page.locator(".advice")
    expect(advice).to_contain_text("30 days")
    page.get_by_role("slider", name="Period", exact=True).press("ArrowRight")
    expect(advice).to_contain_text("31 days")
    page.get_by_role("slider", name="ε of the period").press("Home")
    expect(advice).to_contain_text("ε = 0.1 buys")
    page.get_by_role("slider", name="People counted").press("End")
    expect(page.locator("#plan-users-shown")).to_have_text("70,000,000")
    assert visit.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["overview", "planner", "operations"])
def test_nothing_keeps_anyone_out(visit: Visit, filled: Live, view: str, scheme: Any) -> None:
    page = visit.open(f"{filled.url}/#{view}", color_scheme=scheme)
    ready = {"overview": "#cards .chart", "planner": ".advice", "operations": "#operations table"}
    expect(page.locator(ready[view]).first).to_be_visible()
    expect(page.locator("[aria-busy]")).to_have_count(0)
    for summary in page.locator("summary").all():
        summary.click()
    assert_accessible(page)


def test_colours_follow_the_system_until_one_is_chosen(visit: Visit, filled: Live) -> None:
    page = visit.open(filled.url, color_scheme="dark")
    is_loaded(page)
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Use light colours").click()
    light = page.evaluate(background)
    assert (dark, light) == ("rgb(15, 18, 23)", "rgb(246, 247, 249)")
    page.reload()
    assert page.evaluate(background) == light


@pytest.mark.parametrize("view", ["overview", "planner", "operations"])
def test_a_narrow_screen_needs_no_scrolling_sideways(visit: Visit, filled: Live, view: str) -> None:
    page = visit.open(f"{filled.url}/#{view}", viewport={"width": 320, "height": 700})
    expect(page.locator(f"#{view} .card").first).to_be_visible()
    expect(page.locator("[aria-busy]")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


class TestKeys:
    def test_a_wrong_key_is_told_and_a_right_one_stays_out_of_addresses(
        self, visit: Visit, locked: Live
    ) -> None:
        page = visit.open(locked.url)
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert visit.faults == []
        assert_accessible(page)
        sign_in(page, "no-such-key-0123456789")
        expect(page.get_by_role("alert")).to_contain_text("That key is not known")
        sign_in(page, READ_KEY)
        is_loaded(page)
        expect(page.get_by_text("No values yet")).to_have_count(3)
        expect(page.get_by_role("link", name="Operations")).to_be_hidden()
        assert not any(READ_KEY in address for address in visit.addresses)
        assert page.evaluate("localStorage.length + document.cookie.length") == 0
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0

    def test_a_key_that_may_not_read_is_told_so(self, visit: Visit, locked: Live) -> None:
        page = visit.open(locked.url)
        sign_in(page, INGEST_KEY)
        expect(page.get_by_role("alert")).to_contain_text("may only ingest")

    def test_administrators_see_the_service_at_work(self, visit: Visit, locked: Live) -> None:
        page = visit.open(locked.url)
        sign_in(page, ADMIN_KEY)
        expect(page.get_by_text("Events a second")).to_be_visible()
        expect(page.get_by_role("link", name="Overview")).to_be_hidden()
        expect(page.locator("#operations-erasures")).to_contain_text("None was requested yet.")
        headers = {"X-API-Key": INGEST_KEY}
        asked = httpx.post(f"{locked.url}/erasure", json={"user_id": "ada"}, headers=headers).json()
        expect(page.locator("#operations-ledger")).to_contain_text("All of it was recomputed at")
        page.get_by_role("button", name="Verify all").click()
        record = page.locator("#operations-erasures tbody tr")
        expect(record).to_contain_text(asked["erasure_id"])
        expect(record).to_contain_text("done")
        expect(page.locator("#operations-ledger")).to_contain_text("All 0 rows were recomputed")

    def test_a_key_that_is_taken_back_asks_for_another(self, visit: Visit, locked: Live) -> None:
        page = visit.open(locked.url)
        page.evaluate("sessionStorage.setItem('dpdau.key', 'a-former-key-0123456789')")
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("not known any more")


class TestFailures:
    def test_too_many_requests_are_waited_for(self, visit: Visit, filled: Live) -> None:
        page = visit.open(filled.url)
        is_loaded(page)
        page.clock.install()
        page.route(
            "**/budget",
            lambda route: route.fulfill(
                status=429, headers={**PROBLEM, "Retry-After": "40"}, body=LIMITED
            ),
            times=1,
        )
        page.get_by_role("button", name="90 days").click()
        expect(page.locator(".notice")).to_contain_text("Too many requests")
        expect(page.locator(".notice")).to_contain_text("Trying again in 40 seconds")
        page.clock.run_for(41_000)
        expect(page.locator(".notice")).to_have_count(0)
        expect(page.locator("#status")).to_contain_text("22 Aug 2025")

    @pytest.mark.parametrize(
        ("status", "body", "told", "has_retry"),
        [
            (429, EXHAUSTED, "Budget exhausted", False),
            (403, '{"type": "forbidden", "title": "Not allowed", "detail": "No."}', "Not", False),
            (502, "<html>bad gateway", "The service answered 502", True),
        ],
    )
    def test_other_problems_are_told(
        self, visit: Visit, filled: Live, status: int, body: str, told: str, *, has_retry: bool
    ) -> None:
        page = visit.open(filled.url)
        is_loaded(page)
        page.route(
            "**/budget", lambda route: route.fulfill(status=status, headers=PROBLEM, body=body)
        )
        page.get_by_role("button", name="90 days").click()
        expect(page.locator(".notice")).to_contain_text(told)
        expect(page.get_by_role("button", name="Try now")).to_have_count(int(has_retry))
        assert_accessible(page)

    def test_a_lost_network_can_be_tried_again(self, visit: Visit, filled: Live) -> None:
        page = visit.open(filled.url)
        is_loaded(page)
        page.route("**/budget", lambda route: route.abort(), times=1)
        page.get_by_role("button", name="90 days").click()
        expect(page.locator(".notice")).to_contain_text("cannot be reached")
        page.get_by_role("button", name="Try now").click()
        expect(page.locator("#status")).to_contain_text("22 Aug 2025")
        expect(page.locator(".notice")).to_have_count(0)
