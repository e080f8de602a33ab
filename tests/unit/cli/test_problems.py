from collections import Counter
from datetime import date

import pytest

from dpdau.cli.exit_codes import exit_codes, exit_codes_in_short
from dpdau.cli.problems import error_classes, error_of, problem_of
from dpdau.errors import BudgetExhaustedError, DayOpenError, DpdauError, EventsRefusedError

ERRORS = [
    DayOpenError(date(2025, 1, 1), "2025-01-02T06:00+00:00"),
    BudgetExhaustedError("mau", "2025-01", cap=3.5, spent=3.4, would_be=3.6),
    EventsRefusedError([(0, "op is missing")], 1),
    DpdauError("Something broke."),
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_comes_back_from_its_problem_object(error: DpdauError) -> None:
    returned = error_of(problem_of(error))

    assert type(returned) is type(error)
    assert str(returned) == str(error)
    assert (returned.message, returned.details) == (error.message, error.details)
    assert returned.exit_code == error.exit_code


@pytest.mark.parametrize("kind", ["https://dpdau.example/problems/day-open", "urn:dpdau:day-open"])
def test_the_last_part_of_a_problems_type_names_the_error(kind: str) -> None:
    assert isinstance(error_of({"type": kind, "title": "", "detail": "x"}), DayOpenError)


def test_a_problem_of_an_unknown_kind_is_an_internal_error_with_its_own_words() -> None:
    assert error_of({"type": "new", "title": "New kind"}).message == "New kind"
    assert error_of({}).exit_code == 1


def test_no_two_errors_share_a_name() -> None:
    names = Counter(kind.slug for kind in error_classes())

    assert names.most_common(1)[0][1] == 1


def test_every_error_has_an_exit_code_that_is_documented() -> None:
    assert {kind.exit_code for kind in error_classes()} < set(exit_codes())


def test_a_general_title_stands_for_the_special_ones_below_it() -> None:
    assert exit_codes()[3] == ["Invalid input"]
    assert exit_codes()[7][:2] == ["Day still open", "Day out of range"]
    assert "8 privacy budget exhausted" in exit_codes_in_short()
