"""What fits into a budget, and what a refusal says."""

from dataclasses import replace

import msgspec
import pytest

from dpdau.errors import BudgetExhaustedError
from dpdau.model.calendar import Period
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Metric
from dpdau.pipeline.budget import Budget, BudgetRules, BudgetStatement
from dpdau.pipeline.ondemand import Kept
from dpdau.privacy.accountant import compose
from dpdau.privacy.charges import PureCharge
from dpdau.store import MemoryStore
from support.stores import ledger_row

RULES = BudgetRules(
    caps={Metric.DAU: 1.0, Metric.MAU: 2.0},
    delta=1e-6,
    advanced_delta=1e-7,
    rdp_orders=(2.0, 4.0),
)
OCTOBER = Period.named("2025-10")
HALF = PureCharge(0.5)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def pay(
    store: MemoryStore,
    epsilon: float,
    *,
    metric: Metric = Metric.DAU,
    period: str = "2025-10",
    kind: LedgerKind = LedgerKind.RELEASE,
    subject: str | None = None,
) -> None:
    with store.write() as transaction:
        newest = transaction.ledger_head()
        row = ledger_row(
            1 if newest is None else newest.sequence + 1,
            metric=metric,
            period=period,
            kind=kind,
            subject=subject,
        )
        row = msgspec.structs.replace(row, charge=PureCharge(epsilon).to_dict())
        transaction.append_ledger(row)


def raise_cap(store: MemoryStore, cap: float) -> None:
    with store.write() as transaction:
        newest = transaction.ledger_head()
        row = ledger_row(
            1 if newest is None else newest.sequence + 1,
            kind=LedgerKind.CAP,
            body={"epsilon_cap": cap},
        )
        transaction.append_ledger(msgspec.structs.replace(row, charge=None))


def require(
    store: MemoryStore,
    epsilon: float,
    kept: float | None = None,
    metric: Metric = Metric.DAU,
    rules: BudgetRules = RULES,
) -> float:
    promised = None if kept is None else PureCharge(kept)
    with store.read() as reader:
        return Budget(rules).require(reader, metric, OCTOBER, PureCharge(epsilon), promised)


class TestWhatFits:
    def test_a_budget_may_be_used_up_to_its_cap_and_no_further(self, store: MemoryStore) -> None:
        assert require(store, 1.0) == 1.0
        pay(store, 0.5)
        assert require(store, 0.5) == 1.0
        with pytest.raises(BudgetExhaustedError):
            require(store, 0.51)

    def test_the_first_charge_alone_may_be_too_much(self, store: MemoryStore) -> None:
        with pytest.raises(BudgetExhaustedError):
            require(store, 1.01)

    def test_rounding_is_no_reason_to_refuse_and_allows_no_more(self, store: MemoryStore) -> None:
        # At this δ no theorem makes a charge cheaper.
        rules = replace(RULES, caps={Metric.DAU: 0.3}, delta=1e-30)
        assert 0.1 + 0.2 > 0.3
        assert require(store, 0.1 + 0.2, rules=rules) == 0.3
        with pytest.raises(BudgetExhaustedError):
            require(store, 0.3 + 1e-9, rules=rules)

    def test_other_metrics_and_periods_have_budgets_of_their_own(self, store: MemoryStore) -> None:
        pay(store, 2.0, metric=Metric.MAU)
        pay(store, 1.0, period="2025-11")
        assert require(store, 1.0) == 1.0
        with pytest.raises(BudgetExhaustedError, match="The mau budget of 2025-10 is ε = 2"):
            require(store, 0.1, metric=Metric.MAU)

    def test_a_raised_cap_is_in_force_and_told(self, store: MemoryStore) -> None:
        pay(store, 1.0)
        raise_cap(store, 1.4)
        raise_cap(store, 1.2)
        assert require(store, 0.4) == 1.4
        with pytest.raises(BudgetExhaustedError, match=r"is ε = 1\.4"):
            require(store, 0.41)

    def test_the_cap_in_force_is_that_of_the_metric_and_period(self, store: MemoryStore) -> None:
        raise_cap(store, 1.4)
        with store.read() as reader:
            budget = Budget(RULES)
            assert budget.cap(reader, Metric.DAU, "2025-10") == 1.4
            assert budget.cap(reader, Metric.DAU, "2025-11") == 1.0
            assert budget.cap(reader, Metric.MAU, "2025-10") == 2.0

    def test_it_is_accounted_at_its_own_delta(self, store: MemoryStore) -> None:
        # At δ = 0.3 a charge of ε = 1.25 alone is no more than ε = 1.
        generous = replace(RULES, delta=0.3)
        assert require(store, 1.25, rules=generous) == 1.0


class TestWhatIsKept:
    def test_there_must_be_room_for_it_afterwards(self, store: MemoryStore) -> None:
        pay(store, 0.3)
        assert require(store, 0.2, kept=0.5) == 1.0
        with pytest.raises(BudgetExhaustedError) as refusal:
            require(store, 0.25, kept=0.5)
        assert "kept for the period's own series" in refusal.value.message
        told = refusal.value.details
        assert (told["metric"], told["period"], told["epsilon_cap"]) == (Metric.DAU, "2025-10", 1.0)
        assert told["epsilon_spent"] == pytest.approx(0.8, abs=1e-5)
        assert told["epsilon_needed"] == pytest.approx(1.05, abs=1e-5)

    def test_what_has_no_room_even_now_is_not_kept(self, store: MemoryStore) -> None:
        pay(store, 0.5)
        assert require(store, 0.2, kept=0.6) == 1.0

    def test_it_is_kept_where_it_fits_exactly(self, store: MemoryStore) -> None:
        pay(store, 0.5)
        with pytest.raises(BudgetExhaustedError, match="kept"):
            require(store, 0.2, kept=0.5)

    def test_it_is_kept_until_the_series_has_paid(self, store: MemoryStore) -> None:
        kept = Kept("mau-30d-2025-10", HALF)
        pay(store, 0.1, kind=LedgerKind.SERIES, subject="dau-1d-2025-10")
        pay(store, 0.1, subject="mau-30d-2025-10")
        with store.read() as reader:
            assert kept.charge_in(reader) is HALF
        pay(store, 0.5, kind=LedgerKind.SERIES, subject="mau-30d-2025-10")
        with store.read() as reader:
            assert kept.charge_in(reader) is None


def test_a_refusal_says_what_is_spent_and_what_would_be(store: MemoryStore) -> None:
    pay(store, 0.7)
    with pytest.raises(BudgetExhaustedError) as refusal:
        require(store, 0.4)
    assert "kept" not in refusal.value.message
    told = refusal.value.details
    assert (told["metric"], told["period"], told["epsilon_cap"]) == (Metric.DAU, "2025-10", 1.0)
    assert told["epsilon_spent"] == pytest.approx(0.7, abs=1e-5)
    assert told["epsilon_needed"] == pytest.approx(1.1, abs=1e-5)


class TestStatements:
    def test_one_counts_values_and_all_that_was_charged(self, store: MemoryStore) -> None:
        pay(store, 0.25)
        pay(store, 0.25, kind=LedgerKind.SERIES)
        raise_cap(store, 1.5)
        with store.read() as reader:
            statement = Budget(RULES).statement(reader, Metric.DAU, OCTOBER)
        assert (statement.releases, statement.cap) == (1, 1.5)
        assert statement.epsilon_spent == pytest.approx(0.5, abs=1e-5)
        assert statement.epsilon_remaining == pytest.approx(1.0, abs=1e-5)

    def test_nothing_remains_of_a_cap_that_was_lowered_since(self) -> None:
        spent = compose([PureCharge(0.9)], delta=1e-6, advanced_delta=1e-7, rdp_orders=())
        statement = BudgetStatement(Metric.DAU, "2025-10", 0.5, 1, spent)
        assert statement.epsilon_remaining == 0.0

    def test_the_parameters_of_accounting_are_those_of_the_rules(self, store: MemoryStore) -> None:
        pay(store, 0.5)
        with store.read() as reader:
            composition = Budget(RULES).statement(reader, Metric.DAU, OCTOBER).composition
        expected = compose([HALF], delta=1e-6, advanced_delta=1e-7, rdp_orders=(2.0, 4.0))
        assert composition == expected
        assert sorted(composition.rdp.curve) == [2.0, 4.0]

    def test_totals_join_metrics_of_a_period_and_then_periods(self, store: MemoryStore) -> None:
        pay(store, 0.2, period="2025-11")
        pay(store, 0.3, metric=Metric.MAU)
        pay(store, 0.1)
        with store.read() as reader:
            totals = Budget(RULES).totals(reader)
        assert [(each.period, each.metric) for each in totals.periods] == [
            ("2025-10", Metric.DAU),
            ("2025-10", Metric.MAU),
            ("2025-11", Metric.DAU),
        ]
        spent = [each.epsilon_spent for each in totals.periods]
        assert spent == pytest.approx([0.1, 0.3, 0.2], abs=1e-5)
        joint = {name: each.naive.epsilon for name, each in totals.joint.items()}
        assert joint == pytest.approx({"2025-10": 0.4, "2025-11": 0.2})
        assert totals.lifetime.naive.epsilon == pytest.approx(0.6)
