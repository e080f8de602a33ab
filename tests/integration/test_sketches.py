"""Samples and HyperLogLog through the whole product."""

import math
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import datasketches
import msgspec
import pytest

from dpdau.application import Application
from dpdau.errors import (
    DayOutOfRangeError,
    InvalidValueError,
    LedgerDamagedError,
    RequestKeyReusedError,
    SettingsError,
)
from dpdau.hashing import Sampler
from dpdau.model.releases import Mechanism, Metric, SketchKind
from dpdau.pipeline.audit import Auditor
from dpdau.privacy.charges import GaussianCharge, LaplaceCharge, PureCharge
from dpdau.privacy.strategy import make_plan
from dpdau.store import MemoryStore
from support import EXACT, Event, FakeClock, application, columns

TODAY = date(2025, 11, 20)
DAY = TODAY - timedelta(days=1)
IDS = [f"user-{each}" for each in range(3_000)]
THETA = {"sketch_impl": "theta", "sketch_sampling_rate": "1/8", "w_bound_mau": "unbounded"}
HLLPP = {
    "sketch_impl": "hllpp",
    "mechanism_dau": "intrinsic",
    "mechanism_mau": "intrinsic",
    "hll_log2_registers": 10,
}


@pytest.fixture
def open_app(tmp_path: Path, store: MemoryStore) -> Iterator[Any]:
    opened: list[Application] = []

    def make(**settings: Any) -> Application:
        # Applications share the store, which each would close.
        clock = FakeClock(datetime(2025, 11, 20, 12, tzinfo=UTC))
        opened.append(
            application(tmp_path, store=store, clock=clock, **{"lateness_hours": 0, **settings})
        )
        return opened[-1]

    yield make
    for app in opened:
        app.close()


def send(app: Application, *user_ids: str, day: date = DAY, **fields: Any) -> None:
    events = columns(Event(each, day, **fields) for each in user_ids)
    app.ingestor.apply(app.ingestor.pseudonymize(events))


def sampled_ids(store: MemoryStore) -> list[str]:
    with store.read() as reader:
        sampler = Sampler.parse(str(reader.meta("sample")))
    return [each for each, kept in zip(IDS, sampler.sampled(IDS), strict=True) if kept]


class TestSamples:
    def test_users_outside_of_the_sample_are_never_stored(
        self, open_app: Any, store: MemoryStore
    ) -> None:
        app = open_app(**THETA)
        send(app, *IDS)
        kept = sampled_ids(store)
        # One in eight of 3,000, within seven standard deviations.
        assert abs(len(kept) - 375) < 7 * math.sqrt(3_000 / 8 * 7 / 8)
        with store.read() as reader:
            known = reader.user_indices(app.ingestor._pseudonymizer.pseudonyms(IDS))  # noqa: SLF001
            assert int((known >= 0).sum()) == len(kept)
            assert len(reader.members(DAY.toordinal(), DAY.toordinal())) == len(kept)

    def test_whoever_is_erased_leaves_a_tombstone_only_if_they_were_in_the_sample(
        self, open_app: Any, store: MemoryStore
    ) -> None:
        app = open_app(**THETA)
        send(app, *IDS)
        kept = sampled_ids(store)
        others = [each for each in IDS if each not in kept]
        by_request = app.erase([kept[0], others[0]])
        send(app, kept[1], others[1], add=False, whole_user=True)
        assert by_request.users == 2
        assert by_request.completed_at is not None

        with store.read() as reader:
            pseudonyms = app.ingestor._pseudonymizer.pseudonyms(  # noqa: SLF001
                [*kept[:2], *others[:2]]
            )
            assert len(reader.tombstones(pseudonyms)) == 2

    def test_an_erasure_of_nobody_in_the_sample_has_a_record_like_any_other(
        self, open_app: Any, store: MemoryStore
    ) -> None:
        app = open_app(**THETA)
        other = next(each for each in IDS if each not in sampled_ids(store))
        assert app.erase([other]).users == 1

    def test_a_request_key_that_comes_again_does_not_tell_who_is_in_the_sample(
        self, store: MemoryStore, open_app: Any
    ) -> None:
        app = open_app(**THETA)
        kept = sampled_ids(store)
        others = [each for each in IDS if each not in kept]
        for number, (first, second) in enumerate(
            [(others[0], others[1]), (kept[0], others[0]), (kept[0], kept[1])]
        ):
            record = app.erase([first], f"request {number}")
            assert app.erase([first, first], f"request {number}") == record
            with pytest.raises(RequestKeyReusedError):
                app.erase([second], f"request {number}")

    def test_removal_and_erasure_are_exact_on_the_sample(
        self, open_app: Any, store: MemoryStore
    ) -> None:
        app = open_app(**EXACT, **THETA)
        send(app, *IDS)
        kept = sampled_ids(store)
        assert app.release(Metric.DAU, DAY).estimate == 8 * len(kept)
        send(app, *kept[:5], add=False)
        app.erase(kept[5:10])
        assert app.revise(Metric.DAU, DAY).estimate == 8 * (len(kept) - 10)

    def test_noise_and_price_are_those_of_the_inverse_rate(self, open_app: Any) -> None:
        app = open_app(**THETA, mechanism_dau="laplace", mechanism_mau="gaussian")
        send(app, *IDS)
        laplace = app.publisher.release(Metric.DAU, DAY)
        gaussian = app.publisher.release(Metric.MAU, DAY)
        assert LaplaceCharge(8 / 0.3, 8).to_dict() == laplace.charge
        assert gaussian.charge is not None
        charge = GaussianCharge(gaussian.charge["sigma"], 64)
        assert charge.to_dict() == gaussian.charge
        assert charge.epsilon(1e-6) <= 0.5
        for release in (laplace, gaussian):
            assert (release.sketch, release.sensitivity) == (SketchKind.THETA, 8)
            sampling = 7 * max(release.estimate_raw, 0)
            assert release.std_error**2 > sampling
        app.verify()

    def test_a_series_states_the_inverse_rate_in_plan_price_and_values(self, open_app: Any) -> None:
        app = open_app(**THETA)
        send(app, *IDS)
        values = app.series(Metric.DAU, date(2025, 11, 1), DAY).releases
        plan = app.publisher.plan(Metric.DAU, DAY)
        exact = make_plan(plan.days, plan.presence, plan.epsilon, plan.delta)
        assert plan.sensitivity == 8
        assert plan.sensitivity_squared == 64 * exact.sensitivity_squared
        assert plan.sigma == pytest.approx(8 * exact.sigma, rel=1e-3)
        assert len(values) == 19
        last = values[-1]
        assert last.std_error > math.sqrt(7 * max(last.estimate_raw, 0))
        assert last.band_lower_95 <= last.lower_95 <= last.upper_95 <= last.band_upper_95
        assert {row.body["sensitivity"] for row in app.ledger(Metric.DAU)} == {8}
        app.verify()

    def test_what_is_said_of_a_sampled_value_names_the_sample(self, open_app: Any) -> None:
        app = open_app(**THETA)
        send(app, *IDS)
        for release_id in (
            app.release(Metric.DAU, DAY).release_id,
            app.release(Metric.MAU, DAY, 7).release_id,
        ):
            said = app.explain(release_id).sentences
            assert said.mechanism.startswith("One in 8 people was counted")
            assert said.certainty.startswith("With 95 % confidence the number lies between")
            assert any("The same part of the people" in each for each in said.limits)


class TestHyperLogLog:
    def test_a_release_is_private_by_itself_and_charged_as_pure(self, open_app: Any) -> None:
        app = open_app(**HLLPP)
        send(app, *IDS)
        release = app.publisher.release(Metric.DAU, DAY)
        assert PureCharge(0.3).to_dict() == release.charge
        assert (release.mechanism, release.sketch) == (Mechanism.INTRINSIC, SketchKind.HLLPP)
        assert (release.sensitivity, release.log2_registers) == (None, 10)
        assert (release.epsilon, release.delta) == (0.3, 0)
        # Ten standard errors.
        assert abs(release.estimate_raw - 3_000) < 10 * release.std_error
        assert release.lower_95 < release.estimate_raw < release.upper_95
        assert app.budget_of(Metric.DAU, DAY).epsilon_spent == pytest.approx(0.3, rel=1e-4)
        app.verify()

    def test_each_release_has_randomness_of_its_own_and_stands(self, open_app: Any) -> None:
        app = open_app(**HLLPP, dau_budget_total=50)
        send(app, *IDS)
        values = {app.release(Metric.DAU, DAY).estimate_raw for _ in range(3)}
        assert len(values) == 1
        revised = [app.revise(Metric.DAU, DAY).estimate_raw for _ in range(20)]
        # All the same but for a chance far below 1e-6: the standard error is above 100 users.
        assert len(set(revised)) > 5
        app.verify()

    def test_what_is_said_of_it_promises_no_noise(self, open_app: Any) -> None:
        app = open_app(**HLLPP)
        send(app, *IDS)
        explained = app.explain(app.release(Metric.DAU, DAY).release_id)
        assert explained.noise.distribution == "HyperLogLog"
        assert explained.noise.scale is None
        assert "1,024 registers" in explained.sentences.mechanism

    def test_erased_people_are_not_in_the_next_release(self, open_app: Any) -> None:
        app = open_app(**{**HLLPP, **{key: EXACT[key] for key in EXACT if "mechanism" not in key}})
        send(app, *IDS)
        before = app.release(Metric.DAU, DAY)
        app.erase(IDS[:2_900])
        after = app.revise(Metric.DAU, DAY)
        assert before.estimate > 2_000
        assert after.estimate < 1_000

    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("log2_registers", 11, "its std_error is"),
            ("log2_registers", None, "log2_registers is 0"),
            ("std_error", 1.0, "its std_error is 1.0"),
            ("epsilon", 0.2, "its epsilon is 0.2"),
            ("sensitivity", 1, "its sensitivity is 1; expected None"),
        ],
    )
    def test_a_forged_release_is_found(
        self, open_app: Any, name: str, value: Any, reason: str
    ) -> None:
        app = open_app(**HLLPP)
        send(app, *IDS)
        app.release(Metric.DAU, DAY)
        (row,) = app.ledger()
        Auditor().check(row)
        forged = msgspec.structs.replace(row, body={**row.body, name: value})
        with pytest.raises(LedgerDamagedError, match=re.escape(reason)):
            Auditor().check(forged)


class TestChangingTheSketch:
    def test_exact_counts_and_hllpp_may_follow_each_other(self, open_app: Any) -> None:
        app = open_app(**EXACT)
        send(app, *IDS)
        app.release(Metric.DAU, DAY)
        other = open_app(**HLLPP, dau_budget_total=1e12)
        revised = other.revise(Metric.DAU, DAY)
        assert revised.mechanism is Mechanism.INTRINSIC
        other.verify()
        again = open_app(**EXACT)
        assert again.revise(Metric.DAU, DAY).estimate == 3_000
        again.verify()

    @pytest.mark.parametrize(
        ("before", "after", "refusal"),
        [
            (EXACT, THETA, "SKETCH_IMPL is theta; expected set or hllpp"),
            (HLLPP, THETA, "SKETCH_IMPL is theta; expected set or hllpp"),
            (THETA, EXACT, "SKETCH_IMPL is set; expected theta"),
            (THETA, HLLPP, "SKETCH_IMPL is hllpp; expected theta"),
            (
                THETA,
                {**THETA, "sketch_sampling_rate": 0.5},
                "SKETCH_SAMPLING_RATE is 0.5; expected 0.125",
            ),
        ],
    )
    def test_a_store_that_keeps_other_users_is_refused_with_what_to_do(
        self, open_app: Any, before: Any, after: Any, refusal: str
    ) -> None:
        open_app(**before)
        with pytest.raises(SettingsError, match=re.escape(refusal)) as caught:
            # The store was closed with the refusal, so nothing else can be opened on it.
            open_app(**after)
        assert "Set it back, or start on an empty DATA_DIR" in caught.value.message

    def test_a_store_from_before_there_were_samples_keeps_everyone(
        self, open_app: Any, store: MemoryStore
    ) -> None:
        open_app(**EXACT)
        with store.write() as transaction:
            transaction._state.meta.pop("sample")  # noqa: SLF001
        with pytest.raises(SettingsError, match="expected set or hllpp"):
            open_app(**THETA)


class TestExports:
    @pytest.mark.parametrize(("settings", "factor"), [(THETA, 8), (EXACT, 1), (HLLPP, 1)])
    def test_datasketches_opens_an_export_and_counts_what_is_stored(
        self, open_app: Any, store: MemoryStore, settings: Any, factor: int
    ) -> None:
        app = open_app(**settings)
        send(app, *IDS)
        stored = len(sampled_ids(store)) if factor > 1 else 3_000
        sketch = datasketches.compact_theta_sketch.deserialize(app.export_sketch(DAY, 1))
        assert sketch.get_estimate() == factor * stored

    def test_exports_of_two_days_join_to_the_export_of_both(
        self, open_app: Any, store: MemoryStore
    ) -> None:
        app = open_app(**THETA)
        send(app, *IDS[:2_000])
        send(app, *IDS[1_000:], day=DAY - timedelta(days=1))
        union = datasketches.theta_union(20)
        for day in (DAY, DAY - timedelta(days=1)):
            union.update(datasketches.compact_theta_sketch.deserialize(app.export_sketch(day, 1)))
        joined = datasketches.compact_theta_sketch.deserialize(app.export_sketch(DAY, 2))
        assert set(union.get_result()) == set(joined)
        assert joined.get_estimate() == 8 * len(sampled_ids(store))

    def test_erased_people_are_in_no_later_export(self, open_app: Any, store: MemoryStore) -> None:
        app = open_app(**THETA)
        send(app, *IDS)
        kept = sampled_ids(store)
        app.erase(kept[:100])
        sketch = datasketches.compact_theta_sketch.deserialize(app.export_sketch(DAY, 1))
        assert sketch.num_retained == len(kept) - 100

    @pytest.mark.parametrize("window", [0, 401])
    def test_a_window_that_cannot_be_counted_is_refused(self, open_app: Any, window: int) -> None:
        with pytest.raises(InvalidValueError, match="window"):
            open_app(**THETA).export_sketch(DAY, window)

    @pytest.mark.parametrize("day", [date(2020, 1, 1), date(2026, 1, 1)])
    def test_a_window_beyond_what_is_kept_is_refused(self, open_app: Any, day: date) -> None:
        with pytest.raises(DayOutOfRangeError, match="not within"):
            open_app(**THETA).export_sketch(day, 30)
