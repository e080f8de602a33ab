import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.config import Settings, describe_settings, load_settings
from dpdau.errors import SettingsError
from dpdau.model.calendar import PeriodKind
from dpdau.model.releases import Mechanism, Metric

KEY = "a-key-of-seventeen"
A_RATE = "a power of two from 1/65536 to 1/2, such as 1/16 or 0.0625"
INTRINSIC = {"mechanism_dau": "intrinsic", "mechanism_mau": "intrinsic"}


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The `.env` file of the folder that the program is started in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    return tmp_path / ".env"


def problems(**overrides: Any) -> tuple[str, ...]:
    """The lines that a start with these values is refused with."""
    with pytest.raises(SettingsError) as caught:
        load_settings(**overrides)
    return caught.value.problems


def test_defaults_need_nothing_to_be_set() -> None:
    settings = load_settings()
    assert settings.data_dir == Path("data")
    assert (settings.dau_budget_total, settings.mau_budget_total) == (3.0, 3.5)
    assert settings.mechanism_dau is settings.mechanism_mau is Mechanism.CONTINUAL
    assert settings.rdp_orders == (2, 4, 8, 16, 32)
    assert settings.service_host == "127.0.0.1"


def test_overrides_win_over_environment_over_file(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file.write_text("SERVICE_PORT=1\nMAX_BATCH_EVENTS=1\nLATENESS_HOURS=1\n")
    monkeypatch.setenv("SERVICE_PORT", "2")
    monkeypatch.setenv("MAX_BATCH_EVENTS", "2")
    settings = load_settings(service_port=3)
    assert (settings.service_port, settings.max_batch_events, settings.lateness_hours) == (3, 2, 1)


def test_an_override_of_none_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_PORT", "2")
    assert load_settings(service_port=None).service_port == 2


def test_an_empty_variable_counts_as_not_set(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file.write_text("SERVICE_HOST=\n")
    monkeypatch.setenv("EPSILON_DAU", "")
    settings = load_settings()
    assert settings.epsilon_dau == 0.3
    assert settings.service_host == "127.0.0.1"


def test_settings_cannot_be_changed() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.service_port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("TIMEZONE", "Mars/Olympus", "a name of the IANA time zone database"),
        ("TIMEZONE", "Europe", "a name of the IANA time zone database"),
        ("TIMEZONE", "../etc/passwd", "a name of the IANA time zone database"),
        ("EPSILON_DAU", "0", "a number above 0"),
        ("EPSILON_MAU", "inf", "a number above 0"),
        ("MAU_BUDGET_TOTAL", "much", "a number above 0"),
        ("DELTA", "nan", "a number between 0 and 1, both excluded"),
        ("DELTA", "1", "a number between 0 and 1, both excluded"),
        ("ADVANCED_DELTA", "0", "a number between 0 and 1, both excluded"),
        ("RDP_ORDERS", "2,x", "comma-separated numbers above 1"),
        ("RDP_ORDERS", ",", "comma-separated numbers above 1"),
        ("SERIES_SHARE", "1.01", "a number above 0 and at most 1"),
        ("BUDGET_PERIOD", "week", "month, quarter or year"),
        ("MECHANISM_DAU", "none", "continual, laplace, gaussian or intrinsic"),
        ("SKETCH_IMPL", "bloom", "set, theta or hllpp"),
        ("SKETCH_SAMPLING_RATE", "0.3", A_RATE),
        ("SKETCH_SAMPLING_RATE", "1", A_RATE),
        ("SKETCH_SAMPLING_RATE", "1/131072", A_RATE),
        ("SKETCH_SAMPLING_RATE", "1/0", A_RATE),
        ("SKETCH_SAMPLING_RATE", "few", A_RATE),
        ("HLL_LOG2_REGISTERS", "22", "a whole number from 4 to 21"),
        ("DELETE_SCOPE", "all", "day or user"),
        ("W_BOUND", "1", "a whole number of at least 2, or unbounded"),
        ("W_BOUND_MAU", "many", "a whole number of at least 2, or unbounded"),
        ("LATENESS_HOURS", "-1", "a whole number from 0 to 720"),
        ("SERVICE_PORT", "65536", "a whole number from 0 to 65535"),
        ("MAX_BODY_BYTES", "2048.5", "a whole number of at least 1024"),
        ("LOG_LEVEL", "loud", "debug, info, warning or error"),
    ],
)
def test_an_unfit_value_is_refused_with_its_name_value_and_what_may_be(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert problems() == (f"{name} is {value!r}; expected {expected}",)


def test_one_order_out_of_several_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RDP_ORDERS", "2,0.5")
    assert problems() == ("RDP_ORDERS is '0.5'; expected comma-separated numbers above 1",)


def test_orders_are_sorted_and_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RDP_ORDERS", " 8, 1.5,8 ")
    assert load_settings().rdp_orders == (1.5, 8)


def test_all_unfit_values_are_reported_at_once() -> None:
    lines = problems(epsilon_dau=-1, service_port=-1, w_bound="x")
    assert [line.split()[0] for line in lines] == ["EPSILON_DAU", "W_BOUND", "SERVICE_PORT"]


def test_all_contradictions_are_reported_at_once() -> None:
    lines = problems(
        epsilon_dau=4,
        advanced_delta=0.1,
        retention_days=60,
        service_host="0.0.0.0",  # noqa: S104
    )
    assert lines == (
        "EPSILON_DAU is '4.0'; expected at most DAU_BUDGET_TOTAL (3.0)",
        "ADVANCED_DELTA is '0.1'; expected at most DELTA (1e-06)",
        (
            "RETENTION_DAYS is '60'; expected at least 61: the window of MAU_WINDOW_DAYS (30) plus "
            "the 31 days of the longest month"
        ),
        (
            "SERVICE_HOST is '0.0.0.0'; expected a loopback address such as 127.0.0.1 while no key is "
            "set: anyone could use the service. Set SERVICE_API_KEY, or keys for single scopes, to "
            "listen beyond"
        ),
    )


@pytest.mark.parametrize("text", ["0.0625", "1/16", "6.25e-2"])
def test_a_sampling_rate_may_be_a_fraction(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKETCH_SAMPLING_RATE", text)
    assert load_settings().sketch_sampling_rate == 0.0625


def test_hllpp_with_a_continual_series_is_refused_with_the_reason() -> None:
    dau, mau = problems(sketch_impl="hllpp")
    assert dau == (
        "MECHANISM_DAU is 'continual'; expected intrinsic, as SKETCH_IMPL is hllpp: it is built "
        "anew with fresh randomness for each release, so its values have no sensitivity that one "
        "plan for a period could pay for"
    )
    assert mau == dau.replace("DAU", "MAU")


@pytest.mark.parametrize("mechanism", ["laplace", "gaussian"])
def test_hllpp_with_noise_is_refused_since_nothing_bounds_what_it_would_hide(
    mechanism: str,
) -> None:
    lines = problems(sketch_impl="hllpp", mechanism_dau=mechanism, mechanism_mau="intrinsic")
    assert len(lines) == 1
    assert "any amount, so no noise hides them" in lines[0]


@pytest.mark.parametrize("sketch", ["set", "theta"])
def test_only_hllpp_is_private_without_noise(sketch: str) -> None:
    lines = problems(sketch_impl=sketch, mechanism_mau="intrinsic")
    (line,) = lines
    assert line == (
        "MECHANISM_MAU is 'intrinsic'; expected continual, laplace or gaussian: hllpp alone is "
        f"private by itself, and SKETCH_IMPL is {sketch}"
    )


def test_an_epsilon_that_needs_too_many_phantoms_is_refused() -> None:
    lines = problems(sketch_impl="hllpp", hll_log2_registers=21, epsilon_dau=0.01, **INTRINSIC)
    assert lines == (
        "EPSILON_DAU is '0.01'; expected at least 0.015625 with HLL_LOG2_REGISTERS (21)",
    )


def test_a_long_value_is_shortened() -> None:
    (line,) = problems(timezone="x" * 500)
    assert f"{'x' * 77}...'; expected" in line
    assert "x" * 78 not in line


@pytest.mark.parametrize("kind", PeriodKind)
def test_retention_must_cover_the_window_and_the_longest_period(kind: PeriodKind) -> None:
    least = 30 + {"month": 31, "quarter": 92, "year": 366}[kind]
    assert load_settings(budget_period=kind, retention_days=least).retention_days == least
    assert f"at least {least}" in problems(budget_period=kind, retention_days=least - 1)[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    assert load_settings(service_host=host).service_host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com"])  # noqa: S104
def test_beyond_loopback_needs_a_key(host: str) -> None:
    assert problems(service_host=host)[0].startswith(f"SERVICE_HOST is '{host}'")
    assert load_settings(service_host=host, read_api_key=KEY).service_host == host


SECRETS = [
    "hash_salt_secret",
    "hash_salt_secret_previous",
    "service_api_key",
    "ingest_api_key",
    "read_api_key",
    "admin_api_key",
    "load_api_key",
]


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_never_shown(name: str) -> None:
    (line,) = problems(**{name: "hunter2"})
    assert line.startswith(f"{name.upper()} is unfit (its value is not shown); expected at least")
    with pytest.raises(ValueError, match=name) as caught:
        Settings(**{name: "hunter2"})
    settings = load_settings(**{name: "hunter2-hunter2-hunter2"})
    for shown in (line, str(caught.value), str(settings), repr(settings)):
        assert "hunter2" not in shown
    assert getattr(settings, name).get_secret_value() == "hunter2-hunter2-hunter2"


@pytest.mark.parametrize("name", SECRETS[2:])
@pytest.mark.parametrize("key", ["sixteen with space", "schlüssel-mit-umlaut", "sixteen-and\nline"])
def test_a_key_that_no_header_can_carry_is_refused(name: str, key: str) -> None:
    (line,) = problems(**{name: key})
    assert line.endswith("expected at least 16 printable ASCII characters without spaces")


def test_a_secret_in_bytes_that_are_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASH_SALT_SECRET", os.fsdecode(b"\xff" * 20))
    assert problems()[0].startswith("HASH_SALT_SECRET is unfit")


def test_secrets_that_differ_are_fine() -> None:
    settings = load_settings(**{name: f"{KEY}-{name}" for name in SECRETS})
    assert settings.read_api_key != settings.admin_api_key


def test_a_load_test_may_use_the_key_of_the_service() -> None:
    settings = load_settings(service_api_key=KEY, load_api_key=KEY)
    assert settings.load_api_key == settings.service_api_key


def test_hosts_are_names_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().allowed_hosts is None
    monkeypatch.setenv("ALLOWED_HOSTS", "Counter.example, a-b.c")
    assert load_settings().allowed_hosts == ("counter.example", "a-b.c")


@pytest.mark.parametrize("hosts", ["*", "a.example:80", "http://a.example", "a,,b", "-a", "a b"])
def test_what_is_no_host_is_refused(hosts: str) -> None:
    assert problems(allowed_hosts=hosts)[0].startswith("ALLOWED_HOSTS is ")


def test_proxies_are_addresses_or_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().trusted_proxies is None
    monkeypatch.setenv("TRUSTED_PROXIES", "10.1.2.3/8, ::1,192.0.2.7")
    assert load_settings().trusted_proxies == ("10.0.0.0/8", "::1/128", "192.0.2.7/32")


@pytest.mark.parametrize("proxies", ["*", "proxy.example", "10.0.0.0/99", "unix:", "10.0.0.1,"])
def test_what_is_no_network_is_refused(proxies: str) -> None:
    assert problems(trusted_proxies=proxies)[0].startswith("TRUSTED_PROXIES is ")


def test_no_two_secrets_may_be_equal() -> None:
    assert problems(hash_salt_secret=KEY, read_api_key=KEY, admin_api_key=KEY) == (
        "READ_API_KEY equals HASH_SALT_SECRET; expected a value of its own",
        "ADMIN_API_KEY equals HASH_SALT_SECRET; expected a value of its own",
        "ADMIN_API_KEY equals READ_API_KEY; expected a value of its own",
    )


def test_a_mistyped_name_in_the_file_is_refused_with_the_name_that_was_meant(
    env_file: Path,
) -> None:
    env_file.write_text("EPSILON_DUA=0.1\nUNHEARD_OF=secret\n")
    assert problems() == (
        "EPSILON_DUA is no setting; did you mean EPSILON_DAU?",
        "UNHEARD_OF is no setting; docs/configuration.md has all",
    )


def test_foreign_names_in_the_environment_are_none_of_our_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EPSILON_DUA", "0.1")
    assert load_settings().epsilon_dau == 0.3


def test_lines_of_the_file_that_set_nothing_are_refused_beside_other_problems(
    env_file: Path,
) -> None:
    env_file.write_text("# fine\nEPSILON_DAU 0.1\n\nexport LOG_LEVEL=loud\nDATA_DIR\n")
    assert problems() == (
        ".env line 2 cannot be read; expected NAME=value",
        ".env line 5 cannot be read; expected NAME=value",
        "LOG_LEVEL is 'loud'; expected debug, info, warning or error",
    )
    env_file.write_text("\n\nDATA_DIR\n")
    assert problems() == (".env line 3 cannot be read; expected NAME=value",)


def test_a_character_that_no_environment_can_hold_is_refused(env_file: Path) -> None:
    env_file.write_text("LOG_LEVEL=info\n\nDATA_DIR=da\0ta\n# a rema\0rk\n")
    assert problems() == (
        ".env line 3 has a character U+0000; expected text",
        ".env line 4 has a character U+0000; expected text",
    )


def test_a_file_that_is_no_text_is_refused(env_file: Path) -> None:
    env_file.write_bytes(b"DELTA=\xff")
    assert problems()[0].startswith(".env cannot be read: ")


def test_a_missing_file_is_fine(env_file: Path) -> None:
    assert not env_file.exists()
    assert load_settings().service_port == 8000


@given(
    both=st.none() | st.integers(2, 400) | st.just("unbounded"),
    own=st.none() | st.integers(2, 400) | st.just("unbounded"),
    metric=st.sampled_from(Metric),
)
def test_a_metric_takes_its_own_bound_then_the_common_one_then_its_default(
    both: int | str | None, own: int | str | None, metric: Metric
) -> None:
    default = {Metric.DAU: "unbounded", Metric.MAU: 4}[metric]
    bound = next(value for value in (own, both, default) if value is not None)
    runs = load_settings(w_bound=both, **{f"w_bound_{metric}": own}).presence_runs(metric)
    assert runs == (None if bound == "unbounded" else int(bound) // 2)


def test_every_setting_is_described_in_one_sentence_and_its_default_is_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    described = describe_settings()
    assert [setting.name.lower() for setting in described] == list(Settings.model_fields)
    for setting in described:
        assert setting.group
        assert setting.expected
        assert setting.meaning.endswith(".")
        assert "\n" not in setting.meaning
        if setting.default is not None:
            monkeypatch.setenv(setting.name, setting.default)
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert load_settings().model_dump() == defaults
