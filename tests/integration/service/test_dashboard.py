"""What the server gives the dashboard: files without data, and looks that spend nothing."""

import hashlib
import re
import tomllib
from collections.abc import Callable
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from unittest.mock import Mock

import pytest

from dpdau.errors import LedgerDamagedError, StoreBusyError
from dpdau.service.dashboard import ASSETS
from support.service import Service, assert_problem, event

DASHBOARD = Path(str(files("dpdau.service.dashboard")))
REPOSITORY = Path(__file__).parents[3]
YESTERDAY = date(2025, 11, 19)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KEYS = {"read_api_key": "read-key-0123456789", "admin_api_key": "admin-key-0123456789"}


class TestFiles:
    def test_the_page_needs_no_key_and_may_load_from_its_own_host_only(
        self, open_service: Callable[..., Service]
    ) -> None:
        answer = open_service(**KEYS).client.get("/")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-cache"
        assert "http" not in answer.text

    def test_the_page_has_no_script_or_style_inside_it(self, service: Service) -> None:
        page = service.client.get("/").text
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)

    def test_all_that_the_page_links_to_is_there_and_never_changes(self, service: Service) -> None:
        links = re.findall(r'(?:src|href)="(/dashboard/[^"]+)"', service.client.get("/").text)
        assert len(links) >= 6
        for link in links:
            answer = service.client.get(link)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")

    def test_all_that_scripts_import_is_there(self) -> None:
        scripts = {name: each for name, each in ASSETS.files.items() if name.startswith("scripts/")}
        for script in scripts.values():
            for imported in re.findall(r'from "\./([^"]+)"', script.content.decode()):
                assert f"scripts/{imported}" in scripts

    def test_a_browser_that_has_a_file_is_not_sent_it_again(self, service: Service) -> None:
        for path in ("/", f"/dashboard/{ASSETS.version}/icon.svg"):
            first = service.client.get(path)
            again = service.client.get(path, headers={"If-None-Match": first.headers["etag"]})
            other = service.client.get(path, headers={"If-None-Match": '"other"'})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
            assert other.content == first.content

    @pytest.mark.parametrize(
        "path",
        [
            "/dashboard/0000000000000000/icon.svg",
            f"/dashboard/{ASSETS.version}/none.js",
            f"/dashboard/{ASSETS.version}/__init__.py",
            f"/dashboard/{ASSETS.version}/index.html",
            f"/dashboard/{ASSETS.version}/..%2F..%2Fapp.py",
        ],
    )
    def test_nothing_else_is_served(self, service: Service, path: str) -> None:
        assert_problem(service.client.get(path), 404, "not-found")

    def test_vendored_files_are_what_their_list_says(self) -> None:
        vendor = DASHBOARD / "vendor"
        rows = re.findall(
            r"^\| `(\S+)` .* `([0-9a-f]{64})` \|$", (vendor / "README.md").read_text(), re.MULTILINE
        )
        found = {
            str(path.relative_to(vendor)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in vendor.glob("*/*")
        }
        assert dict(rows) == found
        assert any(name.endswith("/LICENSE") for name in found)

    def test_the_package_carries_every_file(self) -> None:
        settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
        patterns = settings["tool"]["setuptools"]["package-data"]["dpdau"]
        package = REPOSITORY / "src" / "dpdau"
        carried = {path for pattern in patterns for path in package.glob(pattern)}
        folder = package / "service" / "dashboard"
        files_there = {path for path in folder.rglob("*") if path.is_file()}
        wanted = {path for path in files_there if path.suffix not in {".py", ".pyc"}}
        assert len(wanted) >= len(ASSETS.files)
        assert wanted <= carried


class TestWhoAmI:
    def test_without_keys_everybody_may_do_everything(self, service: Service) -> None:
        answer = service.client.get("/whoami").json()
        assert answer == {"keys_required": False, "scopes": ["admin", "ingest", "read"]}

    def test_with_keys_it_tells_what_the_request_s_key_allows(
        self, open_service: Callable[..., Service]
    ) -> None:
        client = open_service(**KEYS).client
        asked = {
            key: client.get("/whoami", headers={"X-API-Key": key}).json()["scopes"]
            for key in KEYS.values()
        }
        assert list(asked.values()) == [["read"], ["admin"]]
        assert client.get("/whoami").json() == {"keys_required": True, "scopes": []}

    def test_an_unknown_key_is_refused(self, open_service: Callable[..., Service]) -> None:
        answer = open_service(**KEYS).client.get("/whoami", headers={"X-API-Key": "other"})
        assert_problem(answer, 401, "unauthorized")


class TestLooks:
    def test_a_look_at_a_series_publishes_nothing(
        self, open_service: Callable[..., Service]
    ) -> None:
        service = open_service(mechanism_dau="continual", dau_budget_total=3.0, epsilon_dau=0.3)
        look = service.client.get("/series/dau?publish=false").json()
        assert (look["releases"], len(look["unpublished"])) == ([], 19)
        assert service.client.get("/stickiness").json()["values"] == []
        assert service.application.ledger() == []
        assert service.client.get("/series/dau").json()["unpublished"] == []
        assert len(service.client.get("/series/dau?publish=false").json()["releases"]) == 19


class TestStickiness:
    @pytest.fixture
    def filled(self, service: Service) -> Service:
        days = [YESTERDAY - timedelta(days=back) for back in range(4)]
        service.send(*(event(f"user-{number}", days[number]) for number in range(4)))
        for day in days[:2]:
            service.client.get(f"/dau/{day}")
            service.client.get("/mau", params={"end": str(day)})
        service.client.get(f"/dau/{days[2]}")
        return service

    def test_it_is_dau_by_mau_where_both_are_published(self, filled: Service) -> None:
        query = {"start": "2025-11-16", "end": str(YESTERDAY)}
        answer = filled.client.get("/stickiness", params=query).json()
        assert [each["stickiness"] for each in answer["values"]] == [1 / 3, 1 / 4]
        newest = answer["values"][-1]
        assert newest["lower_95"] == newest["upper_95"] == 0.25
        assert newest["dau_release_id"] == "dau-1d-2025-11-19"
        assert newest["mau_release_id"] == "mau-30d-2025-11-19"
        assert answer["missing"] == ["2025-11-16", "2025-11-17"]

    def test_a_mau_of_nobody_has_no_share(self, service: Service) -> None:
        service.client.get(f"/dau/{YESTERDAY}")
        service.client.get("/mau")
        (value,) = service.client.get("/stickiness").json()["values"]
        assert (value["stickiness"], value["lower_95"], value["upper_95"]) == (None, 0, 1)

    def test_it_comes_as_csv_too(self, filled: Service) -> None:
        answer = filled.client.get("/stickiness", headers={"Accept": "text/csv"})
        header, *rows = answer.text.splitlines()
        assert header.startswith("day,stickiness,lower_95,upper_95")
        assert [row.split(",")[0] for row in rows] == ["2025-11-18", "2025-11-19"]

    def test_a_range_that_ends_before_it_starts_is_a_problem(self, service: Service) -> None:
        answer = service.client.get("/stickiness?start=2025-11-02&end=2025-11-01")
        assert_problem(answer, 422, "invalid-value")


class TestOperations:
    def test_they_tell_what_was_ingested_and_what_waits(self, service: Service) -> None:
        service.send(event("ada", YESTERDAY), event("bob", YESTERDAY))
        service.send(event("ada", "soon"))
        told = service.client.get("/operations").json()
        assert told["ingestion"] == {
            "accepted": 2,
            "rejected": 1,
            "refused_after_erasure": 0,
            "waiting": 0,
            "failed_commits": 0,
        }
        assert (told["erasures_waiting"], told["days_due"]) == (0, 0)
        assert (told["erasure_oldest_requested_at"], told["days_due_since"]) == (None, None)
        assert (told["ledger"]["rows"], told["ledger"]["newest"]) == (0, [])
        assert told["ledger"]["fault"] is None

    def test_they_tell_since_when_something_waits(
        self, open_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service = open_service(mechanism_dau="continual", dau_budget_total=3.0, epsilon_dau=0.3)
        monkeypatch.setattr(service.store, "purge", Mock(side_effect=StoreBusyError(10)))
        service.client.get(f"/dau/{YESTERDAY}")
        service.client.post("/erasure", json={"user_id": "ada"})
        service.clock.advance(days=1)
        told = service.client.get("/operations").json()
        assert told["erasure_oldest_requested_at"] == "2025-11-20T12:00:00Z"
        assert told["days_due_since"] == "2025-11-21T00:00:00Z"

    def test_they_tell_what_the_newest_verification_found(self, service: Service) -> None:
        verified = service.client.get("/ledger/verify")
        assert verified.status_code == 200
        verification = service.client.get("/operations").json()["ledger"]["verification"]
        assert verification["finished_at"] == "2025-11-20T12:00:00Z"
        assert verification["seconds"] >= 0
        assert verification["fault"] is None

    def test_they_show_the_newest_rows_without_what_is_in_them(self, service: Service) -> None:
        for back in range(3):
            service.dau(YESTERDAY - timedelta(days=back))
        ledger = service.client.get("/operations?rows=2").json()["ledger"]
        assert ledger["rows"] == 3
        assert [row["subject"] for row in ledger["newest"]] == [
            "dau-1d-2025-11-17",
            "dau-1d-2025-11-18",
        ]
        assert {"charge", "body"}.isdisjoint(ledger["newest"][0])

    def test_they_show_the_newest_erasures_and_name_nobody(self, service: Service) -> None:
        for user in ("ada", "bob", "eve"):
            service.clock.now += timedelta(minutes=1)
            asked = service.client.post("/erasure", json={"user_id": user}).json()
        told = service.client.get("/operations?rows=2").json()["erasures"]
        assert len(told) == 2
        assert told[0] == asked
        assert told[0]["state"] == "done"
        assert told[0]["requested_at"] > told[1]["requested_at"]
        assert "eve" not in service.client.get("/operations").text

    def test_they_say_why_nothing_more_is_released(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def damaged(_: object) -> None:
            raise LedgerDamagedError(1, "its content does not match its hash")

        monkeypatch.setattr(type(service.application.guard), "check", damaged)
        fault = service.client.get("/operations").json()["ledger"]["fault"]
        assert "its content does not match its hash" in fault
