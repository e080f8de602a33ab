"""The lower bound of a long period, from a short one's witness."""

import pytest

from dpdau.privacy.strategy import Presence, stretch
from dpdau.privacy.strategy.stretch import stretched_witness

ONE_RUN = Presence("runs", 1)


def test_weights_are_those_of_a_distribution_on_runs_within_the_period() -> None:
    witness = stretched_witness(40, ONE_RUN)
    assert sum(weight for _, weight in witness.patterns) == pytest.approx(1)
    assert min(weight for _, weight in witness.patterns) > 0
    assert all(0 <= start < end <= 40 for runs, _ in witness.patterns for start, end in runs)


def test_of_too_many_patterns_the_heaviest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    every = stretched_witness(40, ONE_RUN).patterns
    monkeypatch.setattr(stretch, "_MOST_PATTERNS", 20)
    kept = stretched_witness(40, ONE_RUN).patterns
    heaviest = sorted((weight for _, weight in every), reverse=True)[:20]
    assert heaviest[0] > heaviest[-1] > min(weight for _, weight in every)
    total = sum(heaviest)
    assert [weight for _, weight in kept] == pytest.approx([each / total for each in heaviest])
    assert {runs for runs, _ in kept} <= {runs for runs, _ in every}
