from datetime import date, datetime
from pathlib import Path
from typing import Literal

import msgspec
import pytest

import export_budget_report

DOCUMENT = Path(__file__).parents[2] / "docs" / "reports.md"


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """The report as it is documented, written down a second time."""


class Pair(Strict):
    epsilon: float
    delta: float


class Renyi(Pair):
    order: float | None
    curve: dict[str, float]


class Composed(Pair):
    method: str
    naive: float
    naive_delta: float
    advanced: Pair
    rdp: Renyi


class Budget(Strict):
    metric: Literal["dau", "mau"]
    period: str
    epsilon_spent: float
    epsilon_remaining: float
    epsilon_cap: float
    delta: float
    releases: int
    method: str
    naive: float
    naive_delta: float
    advanced: Pair
    rdp: Renyi


class Totals(Strict):
    periods: list[Budget]
    joint: dict[str, Composed]
    lifetime: Composed


class Sample(Strict):
    first_day: date
    days: int
    daily_users: int
    events: int
    releases: int


class Ledger(Strict):
    rows: int
    head: str


class Snapshot(Strict):
    schema_version: Literal[1]
    generated_at: datetime
    sample: Sample
    budget: Totals
    ledger: Ledger


@pytest.fixture(autouse=True)
def plan_without_design(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("W_BOUND_MAU", "unbounded")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


def report(data_dir: Path, *arguments: str) -> Snapshot:
    assert export_budget_report.main(["--quiet", *arguments]) == 0
    content = (data_dir / "reports" / "budget-snapshot.json").read_bytes()
    return msgspec.json.decode(content, type=Snapshot)


def test_the_report_has_the_documented_shape_and_the_sample_s_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = report(tmp_path / "data", "--sample-days", "3", "--daily-users", "100")
    assert capsys.readouterr().out == ""
    assert (snapshot.sample.days, snapshot.sample.releases) == (3, 6)
    assert 200 < snapshot.sample.events < 450
    spent = {(each.metric, each.period): each for each in snapshot.budget.periods}
    assert spent.keys() == {("dau", "2026-01"), ("mau", "2026-01")}
    assert spent["dau", "2026-01"].epsilon_spent == pytest.approx(2.4)
    assert spent["mau", "2026-01"].epsilon_spent == pytest.approx(2.8)
    assert snapshot.budget.joint.keys() == {"2026-01"}
    assert 2.8 < snapshot.budget.lifetime.epsilon < 5.2
    assert snapshot.ledger.rows == 8


def test_nothing_is_kept_of_the_sample_but_the_report(tmp_path: Path) -> None:
    report(tmp_path / "other", "--data-dir", str(tmp_path / "other"), "--sample-days", "1")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert [file.name for file in files] == ["budget-snapshot.json"]


def test_what_a_budget_has_no_room_for_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MECHANISM_DAU", "laplace")
    monkeypatch.setenv("EPSILON_DAU", "2.5")
    snapshot = report(tmp_path / "data", "--sample-days", "3", "--daily-users", "10")
    assert snapshot.sample.releases == 4


def test_every_field_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8").partition("## The budget snapshot")[2]
    for kind in (Snapshot, Sample, Totals, Ledger):
        for name in kind.__struct_fields__:
            assert f"`{name}`" in text


@pytest.mark.parametrize("option", ["--sample-days", "--daily-users"])
def test_a_sample_of_nothing_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert export_budget_report.main([option, "0"]) == 3
    assert "Error: --da" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "reports").write_text("a file")
    assert export_budget_report.main(["--sample-days", "1", "--daily-users", "1"]) == 1
    assert "cannot be written" in capsys.readouterr().err
