from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _record import Outcome, Recorder, begin, read
from _traffic import Traffic

TRAFFIC = Traffic.until(date(2025, 11, 20), 7)


def test_what_was_sent_and_acknowledged_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "record"
    begin(path, TRAFFIC)
    with Recorder(path) as recorder:
        assert recorder.traffic == TRAFFIC
        for client, batch in ((0, 0), (3, 0), (0, 1), (0, 2)):
            recorder.note(client, batch, Outcome.SENT)
        recorder.note(0, 2, Outcome.ACKNOWLEDGED)
        recorder.note(3, 0, Outcome.ACKNOWLEDGED)
        recorder.note(0, 1, Outcome.REFUSED)
        # Every line is on disk at once: who is stopped loses none.
        outcomes = read(path)
    assert outcomes.traffic == TRAFFIC
    assert outcomes.batches == {0: ["sent", "refused", "acknowledged"], 3: ["acknowledged"]}
    assert outcomes.acknowledged_events == 2 * TRAFFIC.batch_events


@pytest.mark.parametrize("line", ["acknowledged 0 0", "refused 0 0", "sent 0 1"])
def test_a_record_that_makes_no_sense_is_none(tmp_path: Path, line: str) -> None:
    path = tmp_path / "record"
    begin(path, TRAFFIC)
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ValueError, match="out of order"):
        read(path)


@given(
    st.binary(max_size=200)
    | st.text(st.sampled_from("sent acknowledged refused 012\n{}")).map(str.encode)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_other_content_is_no_record(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "record"
    begin(path, TRAFFIC)
    path.write_bytes(path.read_bytes() + content)
    try:
        found = read(path)
    except ValueError:
        return
    assert all(found.batches.values())
