import pytest

from brute_force import patterns
from dpdau.errors import InvalidPlanError, InvalidValueError
from dpdau.privacy.strategy import Presence


@pytest.mark.parametrize("runs", [0, -1, None, 1.5, True, "2"])
def test_a_bound_needs_at_least_one_run(runs: object) -> None:
    with pytest.raises(InvalidValueError, match="runs"):
        Presence("runs", runs)  # type: ignore[arg-type]


def test_unbounded_presence_has_no_number_of_runs() -> None:
    with pytest.raises(InvalidValueError, match="unbounded"):
        Presence("unbounded", 2)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="kind is 'sometimes'"):
        Presence("sometimes")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("days", "runs", "kind"),
    [
        (7, None, "unbounded"),
        (7, 4, "unbounded"),
        (7, 3, "runs"),
        (8, 4, "unbounded"),
        (1, 1, "unbounded"),
        (3, 1, "runs"),
    ],
)
def test_a_bound_that_no_vector_exceeds_is_unbounded(
    days: int, runs: int | None, kind: str
) -> None:
    presence = Presence.of(days, runs)
    assert presence.kind == kind
    assert presence.is_everything(days) is (kind == "unbounded")


@pytest.mark.parametrize("days", [1, 2, 5, 8])
@pytest.mark.parametrize("runs", [1, 2, 3, 9])
def test_the_count_is_that_of_all_vectors_of_the_set(days: int, runs: int) -> None:
    assert Presence("runs", runs).count(days) == len(patterns(days, runs))


@pytest.mark.parametrize("presence", [Presence("unbounded"), Presence("runs", 3)])
def test_json_values_give_the_set_back(presence: Presence) -> None:
    assert Presence.from_dict(presence.to_dict()) == presence


@pytest.mark.parametrize(
    "data",
    [None, [], {"kind": "runs"}, {"kind": "runs", "runs": 0}, {"kind": "x", "runs": None}],
)
def test_other_json_values_are_no_set(data: object) -> None:
    with pytest.raises(InvalidPlanError, match="presence"):
        Presence.from_dict(data)
