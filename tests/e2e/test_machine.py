"""The machine in small: product and model agree, and it finds the faults that it is given."""

from collections.abc import Iterator

import pytest

from _faulty import FAULTS
from _newborn import Cradle
from _product import Tally
from _warm import nursery
from machine import VARIANTS, main, run, steps_to_find

MONTHS = (28, 29, 30, 31)


@pytest.fixture(scope="module")
def cradle() -> Iterator[Cradle]:
    # The others' strategies take seconds to design.
    with nursery([f"{runs}:{days}" for runs in (0, 1) for days in MONTHS]) as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_product_and_model_agree_whatever_is_done(variant: str, cradle: Cradle) -> None:
    tally = Tally()
    run(
        variant,
        cradle,
        tally,
        examples=4,
        steps=12,
        most_runs=1,
        derandomize=True,
        shrink=False,
    )
    assert tally.rules.total() > 50
    assert len(tally.rules) > 15


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["nobody moves to a new secret", "returning people have new limits"]
)
def test_a_fault_is_found(fault: str, cradle: Cradle) -> None:
    needed = steps_to_find(fault, cradle, examples=5, steps=50, derandomize=True)
    assert needed is not None


def test_every_fault_belongs_to_a_variant() -> None:
    assert {fault.variant for fault in FAULTS.values()} == set(VARIANTS)


def test_the_machine_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert "--faults" in capsys.readouterr().out
