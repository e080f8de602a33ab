import pytest

import ingest_http


@pytest.mark.slow
def test_services_under_load_hold_what_was_sent(capsys: pytest.CaptureFixture[str]) -> None:
    ingest_http.main(["--short"])
    assert "this product" in capsys.readouterr().out


@pytest.mark.slow
def test_files_of_every_format_are_counted_alike(capsys: pytest.CaptureFixture[str]) -> None:
    # Its rival comes with the extra `bench`.
    ingest_bulk = pytest.importorskip("ingest_bulk", exc_type=ImportError)
    ingest_bulk.main(["--short"])
    assert "Parquet" in capsys.readouterr().out
