"""The settings, and what must be true of them together."""

import ipaddress
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Literal, Self

from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from dpdau.config.declarations import (
    A_BROKER,
    A_DATABASE_URL,
    A_FLIP_BOUND,
    A_HOST_LIST,
    A_KEY,
    A_NAME,
    A_NETWORK_LIST,
    A_PARTITION_LIST,
    A_POSITIVE_NUMBER,
    A_PROBABILITY,
    A_SAMPLING_RATE,
    A_SECRET,
    A_SUBJECT,
    BrokerUrl,
    DatabaseUrl,
    FlipBound,
    Hosts,
    Key,
    Name,
    Networks,
    Orders,
    Partitions,
    Positive,
    Probability,
    SamplingRate,
    Secret,
    Subject,
    Timezone,
    choices,
    setting,
)
from dpdau.errors import SettingsError
from dpdau.model.calendar import PeriodKind
from dpdau.model.counting import MOST_PHANTOMS
from dpdau.model.releases import Mechanism, Metric, SketchKind
from dpdau.model.sources import ActivitySource

__all__ = ["SECRETS", "Settings"]

_LONGEST_PERIOD_DAYS = {PeriodKind.MONTH: 31, PeriodKind.QUARTER: 92, PeriodKind.YEAR: 366}
_KEYS = ("service_api_key", "ingest_api_key", "read_api_key", "admin_api_key")
_OWN_SECRETS = ("hash_salt_secret", "hash_salt_secret_previous", *_KEYS)
# Whoever writes a password into the broker's address must not find it in an error.
_OTHERS_SECRETS = ("load_api_key", "service_database_url", "broker_password", "broker_url")
SECRETS = (*_OWN_SECRETS, *_OTHERS_SECRETS)

# Why hllpp goes with no other mechanism than its own.
_NO_BOUND = "one user may change its estimate by any amount, so no noise hides them"
_WHY = {
    Mechanism.CONTINUAL: "it is built anew with fresh randomness for each release, so its values "
    "have no sensitivity that one plan for a period could pay for",
    Mechanism.LAPLACE: _NO_BOUND,
    Mechanism.GAUSSIAN: _NO_BOUND,
}


class Settings(BaseSettings):
    """Everything that can be configured; the variable of a field has its name in capitals.

    Use `load_settings` to make one: it reports every unfit value as a `SettingsError`.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = setting("Data", Path("data"), "a folder; it is made if missing")
    """Where the store is kept, and the secret if none is set."""
    service_database_url: DatabaseUrl | None = setting("Data", None, A_DATABASE_URL)
    """The PostgreSQL database to keep the store in; unset, it is a file in DATA_DIR. Without a \
password in it, libpq's own files and variables give one (docs/scaling.md)."""
    ledger_head_path: Path | None = setting("Data", None, "a file; it is made if missing")
    """Where the ledger's head is copied, beside the journal of erasures; by default in DATA_DIR."""
    timezone: Timezone = setting("Data", "UTC", "a name of the IANA time zone database")
    """The zone whose midnights separate days."""
    hash_salt_secret: Secret | None = setting("Data", None, A_SECRET)
    """The key of the pseudonyms; when unset, one is made at the first start and kept in DATA_DIR."""
    hash_salt_secret_previous: Secret | None = setting("Data", None, A_SECRET)
    """The secret before HASH_SALT_SECRET, while a rotation runs; see docs/rotation.md."""
    delete_scope: Literal["day", "user"] = setting("Data", "day", "day or user")
    """What an event with op "-" takes away, if it does not say: the user's day, or the user."""
    lateness_hours: int = setting("Data", 6, "a whole number from 0 to 720", "hours", ge=0, le=720)
    """How long a day stays open after its end, for events that arrive late; a \
published value never changes, and six hours let the devices and jobs of a night report."""
    retention_days: int = setting(
        "Data", 400, "a whole number from 1 to 36500", "days", ge=1, le=36_500
    )
    """How long activity and tombstones are kept; events dated before that are refused."""
    sketch_impl: SketchKind = setting("Data", SketchKind.SET, choices(SketchKind))
    """How distinct users are counted: `set` is exact; `theta` keeps a sample of the users; `hllpp` \
is private by its own randomness and needs the mechanism intrinsic (docs/sketches.md)."""
    sketch_sampling_rate: SamplingRate = setting("Data", 0.0625, A_SAMPLING_RATE, "share of users")
    """The share of users that `theta` keeps; one user then moves a count by its inverse."""
    hll_log2_registers: int = setting(
        "Data", 14, "a whole number from 4 to 21", "registers, as a power of two", ge=4, le=21
    )
    """The size of an `hllpp` sketch: more registers count larger numbers more precisely."""

    activity_source: ActivitySource = setting("Data", ActivitySource.STORE, choices(ActivitySource))
    """What values are counted from: the events in the store, or tables that Spark reads, in which \
case the store takes no events (docs/how-to/spark.md)."""
    spark_dir: str | None = setting("Data", None, "a folder, or a URI that the cluster reaches")
    """Where Spark keeps landed events and limiter tables; by default the folder spark in DATA_DIR."""

    mau_window_days: int = setting(
        "Privacy", 30, "a whole number from 1 to 366", "days", ge=1, le=366
    )
    """The trailing days that a value of MAU counts, the end day included."""
    budget_period: PeriodKind = setting("Privacy", PeriodKind.MONTH, choices(PeriodKind))
    """The accounting period: how long one budget must last."""
    dau_budget_total: Positive = setting("Privacy", 3.0, A_POSITIVE_NUMBER, "ε")
    """What all DAU values of one period may cost one user."""
    mau_budget_total: Positive = setting("Privacy", 3.5, A_POSITIVE_NUMBER, "ε")
    """What all MAU values of one period may cost one user."""
    delta: Probability = setting("Privacy", 1e-6, A_PROBABILITY, "δ")
    """The probability with which a metric's guarantee for one period may fail."""
    mechanism_dau: Mechanism = setting("Privacy", Mechanism.CONTINUAL, choices(Mechanism))
    """How DAU is made private: one plan for the whole period, or noise for each release; \
`intrinsic`, the sketch's own randomness, belongs to `hllpp` alone."""
    mechanism_mau: Mechanism = setting("Privacy", Mechanism.CONTINUAL, choices(Mechanism))
    """How MAU is made private."""
    series_share: float = setting(
        "Privacy", 0.8, "a number above 0 and at most 1", "share of the budget", gt=0, le=1
    )
    """What a continual series takes of its metric's budget; the rest is for releases on demand."""
    epsilon_dau: Positive = setting("Privacy", 0.3, A_POSITIVE_NUMBER, "ε")
    """What one DAU release costs that belongs to no continual series."""
    epsilon_mau: Positive = setting("Privacy", 0.5, A_POSITIVE_NUMBER, "ε")
    """What one MAU release costs that belongs to no continual series."""
    w_bound: FlipBound | None = setting("Privacy", None, A_FLIP_BOUND, "flips")
    """How often a user's presence in a series may change over a period before further returns \
are no longer counted; holds for both metrics, unless the metric's own bound is set."""
    w_bound_dau: FlipBound = setting("Privacy", "unbounded", A_FLIP_BOUND, "flips")
    """The bound of the DAU series."""
    w_bound_mau: FlipBound = setting("Privacy", 4, A_FLIP_BOUND, "flips")
    """The bound of the MAU series."""
    advanced_delta: Probability = setting("Privacy", 1e-7, A_PROBABILITY, "δ")
    """The δ that advanced composition adds in budget reports."""
    rdp_orders: Orders = setting(
        "Privacy", (2.0, 4.0, 8.0, 16.0, 32.0), "comma-separated numbers above 1", "α"
    )
    """The Rényi orders that budget reports show."""

    service_host: str = setting("Service", "127.0.0.1", "an address or host name", min_length=1)
    """The address to listen on; beyond loopback at least one key must be set."""
    service_port: int = setting("Service", 8000, "a whole number from 0 to 65535", ge=0, le=65_535)
    """The port to listen on; 0 takes any free one."""
    service_api_key: Key | None = setting("Service", None, A_KEY)
    """The key that may do everything."""
    ingest_api_key: Key | None = setting("Service", None, A_KEY)
    """The key that may send events and erase users."""
    read_api_key: Key | None = setting("Service", None, A_KEY)
    """The key that may read releases and budgets."""
    admin_api_key: Key | None = setting("Service", None, A_KEY)
    """The key that may publish, revise, and read the ledger and the metrics."""
    rate_limit_per_minute: int = setting(
        "Service", 60_000, "a whole number of at least 0", "requests a minute", ge=0
    )
    """The most requests that one client may send in a minute; 0 for no limit. A client is a key, \
or an address where no known key is sent."""
    allowed_hosts: Hosts | None = setting("Service", None, A_HOST_LIST)
    """Names beside the loopback ones that requests may ask for; unless set, any name goes once \
keys are set, and loopback names only while none is (docs/security.md)."""
    trusted_proxies: Networks | None = setting("Service", None, A_NETWORK_LIST)
    """The reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; no other's is."""
    max_connections: int = setting(
        "Service", 400, "a whole number of at least 1", "connections", ge=1
    )
    """The most connections that are open at once; further ones are told to try again."""
    max_concurrent_requests: int = setting(
        "Service", 200, "a whole number of at least 1", "requests", ge=1
    )
    """The most requests that are answered at once; further ones are told to try again."""
    max_head_bytes: int = setting(
        "Service", 32 * 1024, "a whole number of at least 1024", "bytes", ge=1024
    )
    """The longest address and headers of a request together."""
    head_seconds: Positive = setting("Service", 10.0, A_POSITIVE_NUMBER, "seconds")
    """How long a client may take to send the head of a request."""
    body_seconds: Positive = setting("Service", 60.0, A_POSITIVE_NUMBER, "seconds")
    """How long a client may take to send the body of a request, or to take more of an answer."""
    max_body_bytes: int = setting(
        "Service", 32 * 1024 * 1024, "a whole number of at least 1024", "bytes", ge=1024
    )
    """The largest request body, measured after decompression."""
    max_batch_events: int = setting(
        "Service", 100_000, "a whole number of at least 1", "events", ge=1
    )
    """The most events that one request may hold."""
    max_waiting_events: int = setting(
        "Service", 500_000, "a whole number of at least 1", "events", ge=1
    )
    """The most events that may wait to be written before requests are turned away."""
    store_busy_seconds: Positive = setting("Service", 10.0, A_POSITIVE_NUMBER, "seconds")
    """How long to wait while another process writes to the store."""
    erasure_target_hours: Positive = setting("Service", 24.0, A_POSITIVE_NUMBER, "hours")
    """How long an erasure may wait for its last trace to go before operators are alerted."""

    broker_url: BrokerUrl | None = setting("Broker", None, A_BROKER)
    """The message broker that `dpdau consume` reads events from."""
    broker_user: str | None = setting("Broker", None, "a name", min_length=1)
    """Who this program is at the broker."""
    broker_password: SecretStr | None = setting(
        "Broker", None, "the broker's password of that user"
    )
    """How it proves that."""
    broker_credentials: Path | None = setting("Broker", None, "a file with a JWT and its seed")
    """NATS's credentials file, in place of BROKER_USER and BROKER_PASSWORD."""
    broker_sasl: Literal["plain", "scram-sha-256", "scram-sha-512"] = setting(
        "Broker", "scram-sha-512", "plain, scram-sha-256 or scram-sha-512"
    )
    """How Kafka checks the password."""
    broker_ca_file: Path | None = setting("Broker", None, "a file with certificates (PEM)")
    """Who may vouch for the broker's certificate; by default whom this machine trusts."""
    broker_subject: Subject = setting("Broker", "dpdau.events", A_SUBJECT)
    """What is read: NATS's subjects BROKER_SUBJECT, BROKER_SUBJECT.0, .1 and so on; Kafka's topic."""
    broker_dead_subject: Subject = setting("Broker", "dpdau.dead", A_SUBJECT)
    """The subject or topic for messages that cannot be taken, with the reason."""
    broker_dead_payloads: bool = setting("Broker", True, "true or false")  # noqa: FBT003
    """Whether these messages are kept there whole; they may name people."""
    broker_group: Name = setting("Broker", "dpdau", A_NAME)
    """The name under which the broker knows the consumers of this store; no other store's."""
    broker_partitions: Partitions | None = setting("Broker", None, A_PARTITION_LIST)
    """Which partitions one consumer reads; unless set, with NATS all of BROKER_SUBJECT in one \
order, with Kafka what the group assigns."""
    broker_batch_messages: int = setting(
        "Broker", 1000, "a whole number from 1 to 100000", "messages", ge=1, le=100_000
    )
    """The most messages that are stored in one commit, and that are read ahead meanwhile."""
    broker_linger_seconds: float = setting(
        "Broker", 0.05, "a number from 0 to 10", "seconds", ge=0, le=10
    )
    """How long a batch waits for more messages after its first."""

    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "Logs", "info", "debug, info, warning or error"
    )
    """The least severe messages that are logged."""
    log_format: Literal["console", "json"] = setting("Logs", "console", "console or json")
    """Whether logs are written for people or for machines."""

    experiment_id: str = setting(
        "Examples and evaluation", "default", "letters, digits, '.', '_' and '-'"
    )
    """The folder under `DATA_DIR/experiments` and `DATA_DIR/plots` that evaluations write to."""
    n_users: int = setting(
        "Examples and evaluation", 20_000, "a whole number of at least 1", "users", ge=1
    )
    """How many people a simulation has, unless its command says."""
    p_active: Probability = setting("Examples and evaluation", 0.2, A_PROBABILITY)
    """How likely one of them is active on a day, on average, unless the command says."""
    delete_rate: float = setting("Examples and evaluation", 0.1, "a share from 0 to 1", ge=0, le=1)
    """The share of them that asks to be erased, unless the command says."""
    default_seed: int = setting(
        "Examples and evaluation", 20_251_007, "a whole number of at least 0", ge=0
    )
    """What simulations are drawn from, unless the command says; releases have no seed."""
    example_dataset_path: Path | None = setting(
        "Examples and evaluation",
        None,
        "a file with CDNOW's columns: customer, date, units, amount",
    )
    """The purchase log that `make demo` reads; when unset, the one in the package `lifetimes`."""

    load_test_seed: int = setting(
        "Examples and evaluation", 20_251_007, "a whole number of at least 0", ge=0
    )
    """What the traffic of `make load-test` is drawn from; the same seed sends the same events."""
    load_api_key: Key | None = setting("Examples and evaluation", None, A_KEY)
    """The key with which `make load-test` asks a running service; by default SERVICE_API_KEY."""

    def presence_runs(self, metric: Metric) -> int | None:
        """How many runs of presence a series counts per user and period; None for no limit.

        A user is absent before the period, so w flips are ⌊w/2⌋ whole runs.
        """
        own = f"w_bound_{metric}"
        bound = getattr(self, own)
        if self.w_bound is not None and own not in self.model_fields_set:
            bound = self.w_bound
        return bound // 2 if isinstance(bound, int) else None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Pass if the settings fit together.

        Raises:
            SettingsError: with one line for each that does not.
        """
        problems = [
            *self._unfit_budgets(),
            *self._unfit_data(),
            *self._unfit_sketch(),
            *self._unfit_source(),
            *self._unfit_service(),
            *self._unfit_broker(),
        ]
        if problems:
            raise SettingsError(problems)
        return self

    def _unfit_budgets(self) -> Iterator[str]:
        for metric in Metric:
            per_release, total = f"epsilon_{metric}", f"{metric}_budget_total"
            if getattr(self, per_release) > getattr(self, total):
                yield self._unfit(per_release, f"at most {self._quoted(total)}")
        if self.advanced_delta > self.delta:
            yield self._unfit("advanced_delta", f"at most {self._quoted('delta')}")

    def _unfit_data(self) -> Iterator[str]:
        period_days = _LONGEST_PERIOD_DAYS[self.budget_period]
        if self.retention_days < self.mau_window_days + period_days:
            yield self._unfit(
                "retention_days",
                f"at least {self.mau_window_days + period_days}: the window of "
                f"{self._quoted('mau_window_days')} plus the {period_days} days of the longest "
                f"{self.budget_period}",
            )

    def _unfit_sketch(self) -> Iterator[str]:
        for metric in Metric:
            name, per_release = f"mechanism_{metric}", f"epsilon_{metric}"
            mechanism: Mechanism = getattr(self, name)
            if self.sketch_impl is SketchKind.HLLPP:
                if mechanism is not Mechanism.INTRINSIC:
                    yield self._unfit(
                        name, f"intrinsic, as SKETCH_IMPL is hllpp: {_WHY[mechanism]}"
                    )
                least = 2**self.hll_log2_registers / MOST_PHANTOMS
                if getattr(self, per_release) < least:
                    expected = f"at least {least:g} with {self._quoted('hll_log2_registers')}"
                    yield self._unfit(per_release, expected)
            elif mechanism is Mechanism.INTRINSIC:
                expected = "continual, laplace or gaussian: hllpp alone is private by itself"
                yield self._unfit(name, f"{expected}, and SKETCH_IMPL is {self.sketch_impl}")

    def _unfit_source(self) -> Iterator[str]:
        if self.activity_source is ActivitySource.SPARK:
            for metric in Metric:
                if getattr(self, name := f"mechanism_{metric}") is not Mechanism.CONTINUAL:
                    yield self._unfit(name, "continual, as ACTIVITY_SOURCE is spark")
            if self.hash_salt_secret_previous is not None:
                yield "HASH_SALT_SECRET_PREVIOUS is set; expected nothing, as ACTIVITY_SOURCE is spark"

    def _unfit_service(self) -> Iterator[str]:
        if not _is_loopback(self.service_host) and all(getattr(self, key) is None for key in _KEYS):
            yield self._unfit(
                "service_host",
                "a loopback address such as 127.0.0.1 while no key is set: anyone could use the "
                "service. Set SERVICE_API_KEY, or keys for single scopes, to listen beyond",
            )
        given = [name for name in _OWN_SECRETS if getattr(self, name) is not None]
        for one, other in combinations(given, 2):
            if getattr(self, one) == getattr(self, other):
                yield f"{other.upper()} equals {one.upper()}; expected a value of its own"

    def _unfit_broker(self) -> Iterator[str]:
        dead, read = self.broker_dead_subject, self.broker_subject
        if f"{dead}.".startswith(f"{read}."):
            yield self._unfit(
                "broker_dead_subject", f"a subject outside of {self._quoted('broker_subject')}"
            )
        if (self.broker_user is None) != (self.broker_password is None):
            yield "BROKER_USER and BROKER_PASSWORD are only of use together; expected both or neither"
        if self.broker_credentials is not None and self.broker_user is not None:
            yield self._unfit("broker_credentials", "no value beside BROKER_USER: either is enough")

    def _unfit(self, name: str, expected: str) -> str:
        return f"{name.upper()} is '{getattr(self, name)}'; expected {expected}"

    def _quoted(self, name: str) -> str:
        return f"{name.upper()} ({getattr(self, name)})"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
