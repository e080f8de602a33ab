import json
from datetime import date
from itertools import islice

from _traffic import Batch, Question, Traffic

TODAY = date(2025, 11, 20)


def steps(seed: int, client: int, count: int = 200) -> list[object]:
    return list(islice(Traffic.until(TODAY, seed).steps(client), count))


def test_a_seed_gives_the_same_traffic_again_and_another_one_another() -> None:
    assert steps(7, 3) == steps(7, 3)
    assert steps(7, 3) != steps(8, 3)
    assert steps(7, 3) != steps(7, 4)


def test_no_two_clients_have_a_person_in_common() -> None:
    people = [
        {user for step in steps(7, client) if isinstance(step, Batch) for user in step.user_ids}
        for client in range(3)
    ]
    assert len(set.union(*people)) == sum(map(len, people))


def test_it_adds_takes_back_repeats_and_asks() -> None:
    found = steps(7, 0)
    batches = [step for step in found if isinstance(step, Batch)]
    pairs = [pair for step in batches for pair in zip(step.user_ids, step.days, strict=True)]
    taken_back = sum(not add for step in batches for add in step.adds)
    assert 0.05 < taken_back / len(pairs) < 0.15
    assert len(set(pairs)) < len(pairs)
    questions = {step.route for step in found if isinstance(step, Question)}
    assert questions == {"/dau/{day}", "/mau", "/budget/{metric}"}


def test_a_body_erases_nobody_whatever_the_service_does_by_default() -> None:
    batch = Batch(0, ["ada", "ada"], [TODAY, TODAY], [True, False])
    assert json.loads(batch.body()) == {
        "events": [
            {"user_id": "ada", "op": "+", "day": "2025-11-20"},
            {"user_id": "ada", "op": "-", "day": "2025-11-20", "scope": "day"},
        ]
    }


def test_batches_are_counted_without_the_questions_between_them() -> None:
    traffic = Traffic.until(TODAY, 7)
    batches = list(traffic.batches(2, 5))
    assert [batch.number for batch in batches] == [0, 1, 2, 3, 4]
    assert batches == [step for step in steps(7, 2) if isinstance(step, Batch)][:5]
