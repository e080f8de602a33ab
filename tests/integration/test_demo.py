from datetime import date, timedelta
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NoReturn

import pytest

import cdnow
import demo
from dpdau.errors import FileUnreadableError

HEADER = " customer_id  date number_of_cds  dollar_value\n"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four months in which each of thirty customers buys every third day."""
    days = [date(1997, 1, 1) + timedelta(days=offset) for offset in range(120)]
    rows = [
        f" {customer:05} {day:%Y%m%d}  1   11.77\n"
        for customer in range(1, 31)
        for day in days[customer % 3 :: 3]
    ]
    file = tmp_path / "log.txt"
    file.write_text(HEADER + "".join(rows))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXAMPLE_DATASET_PATH", str(file))
    monkeypatch.setenv("W_BOUND_MAU", "unbounded")  # no time to design a plan
    monkeypatch.setenv("COLUMNS", "100")
    return file


@pytest.mark.usefixtures("log")
def test_every_day_of_the_log_is_published_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main() == 0

    text = capsys.readouterr().out
    assert "240 values, a DAU and a MAU for each day: none was refused" in text
    assert "1 of 30 customers asked to be erased" in text
    assert [line.split()[0] for line in text.splitlines() if line.strip().startswith("1997")] == [
        "1997-01-31",
        "1997-02-28",
        "1997-03-31",
        "1997-04-30",
    ]


def test_one_in_ten_asks_to_be_erased_within_the_eighteen_months() -> None:
    months = [demo.asks_in_month(f"{customer:05}") for customer in range(1, 1001)]
    asking = [month for month in months if month is not None]

    assert len(asking) == 100
    assert set(asking) == set(range(2, 17))


@pytest.mark.parametrize("content", [HEADER + " 00001 19979999 1 1.0\n", HEADER + " 00001\n", None])
def test_what_is_no_purchase_log_is_told(
    log: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    if content is None:
        log.unlink()
    else:
        log.write_text(content)

    assert demo.main() == 3
    assert "Error: Cannot read" in capsys.readouterr().out


def test_without_the_package_the_demo_says_where_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> NoReturn:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(cdnow, "distribution", missing)

    with pytest.raises(FileUnreadableError, match="pip install --no-deps lifetimes"):
        cdnow.find_log(None)
