"""Explanations: what a published number means, in plain words.

Everything said follows from the release, its ledger rows and the configuration, so an
explanation tells nothing that the release itself does not.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from dpdau.model import wording
from dpdau.model.releases import Mechanism, Metric, Release, ReleaseKey, SketchKind
from dpdau.pipeline.records import ReleaseRecord
from dpdau.views.base import View
from dpdau.views.releases import ReleaseView

__all__ = ["ExplanationView", "NoiseView"]


class NoiseView(View):
    """The noise that was drawn."""

    distribution: Literal["discrete Laplace", "discrete Gaussian", "HyperLogLog"]
    scale: float | None = Field(
        description="The noise's scale, or σ, in users; in a continual series, of the measurements "
        "that the value was derived from; null where no noise was added."
    )
    drawn_for: Literal["value", "series"] = Field(
        description="Whether the noise was added to this value, or to the series' measurements."
    )


class SentencesView(View):
    """What can be read out."""

    meaning: str
    certainty: str
    cost: str
    protection: str
    mechanism: str
    revision: str | None
    limits: list[str] = Field(description="What the number does not say.")


class ExplanationView(View):
    """What a published number means, how sure it is, what it cost and what protects whom."""

    release: ReleaseView
    first_day: date = Field(description="The first day counted.")
    last_day: date = Field(description="The last day counted.")
    noise: NoiseView
    paid_by: Literal["series", "release"] = Field(
        description="Whether the price bought this value alone or every day of the period."
    )
    runs: int | None = Field(
        description="How many runs of days one person is counted in; null for all."
    )
    odds_factor: float | None = Field(
        description="e^ε of the guarantee; null where ε is so large that it promises nothing."
    )
    revises: str | None = Field(description="The release that this one corrects.")
    newest: str = Field(description="The newest release for the same question, perhaps this one.")
    sentences: SentencesView

    @classmethod
    def of(cls, record: ReleaseRecord, release: ReleaseView) -> "ExplanationView":
        """The view of a record.

        Args:
            record: the release and what was recorded around it.
            release: the same release with guarantee and budget.
        """
        runs = None if record.plan is None else record.plan.presence.runs
        return cls(
            release=release,
            first_day=_first_day(release),
            last_day=release.day,
            noise=_noise(record),
            paid_by="series" if release.mechanism is Mechanism.CONTINUAL else "release",
            runs=runs,
            odds_factor=wording.odds_factor(release.guarantee.epsilon),
            revises=_revised(release),
            newest=record.newest.release_id,
            sentences=SentencesView(
                meaning=_meaning(release),
                certainty=_certainty(release),
                cost=_cost(release),
                protection=_protection(release),
                mechanism=_mechanism(record),
                revision=_revision(release, record.newest.release_id),
                limits=list(_limits(release, runs)),
            ),
        )


def _first_day(release: ReleaseView) -> date:
    return release.day - timedelta(days=release.window_days - 1)


def _noise(record: ReleaseRecord) -> NoiseView:
    release = record.release
    if release.charge is None:
        plan = record.plan
        scale = None if plan is None else plan.sigma / plan.scale
        return NoiseView(distribution="discrete Gaussian", scale=scale, drawn_for="series")
    charge: dict[str, Any] = release.charge
    if release.mechanism is Mechanism.INTRINSIC:
        return NoiseView(distribution="HyperLogLog", scale=None, drawn_for="value")
    if release.mechanism is Mechanism.LAPLACE:
        return NoiseView(distribution="discrete Laplace", scale=charge["scale"], drawn_for="value")
    return NoiseView(distribution="discrete Gaussian", scale=charge["sigma"], drawn_for="value")


def _meaning(release: ReleaseView) -> str:
    people = wording.count(release.estimate, "distinct person was", "distinct people were")
    who = f"About {people} active"
    if release.metric is Metric.DAU:
        return f"{who} on {release.day}."
    return (
        f"{who} at least once in the {wording.count(release.window_days, 'day')} from "
        f"{_first_day(release)} to {release.day}, both included."
    )


def _certainty(release: ReleaseView) -> str:
    counted = "the count before noise" if release.sketch is SketchKind.SET else "the number"
    sure = (
        f"With 95 % confidence {counted} lies between "
        f"{wording.span(release.lower_95, release.upper_95, 'and')}; the standard error is "
        f"{release.std_error:,.1f} users."
    )
    if release.band_lower_95 is None or release.band_upper_95 is None:
        return sure
    band = wording.span(release.band_lower_95, release.band_upper_95, "and")
    return (
        f"{sure} Read together with the other days of {release.guarantee.period}: with 95 % all of "
        f"them lie within their bands at once, this one between {band}."
    )


def _cost(release: ReleaseView) -> str:
    price = wording.pair(release.epsilon, release.delta)
    budget = release.budget
    left = wording.left(budget.epsilon_remaining, budget.epsilon_cap, budget.period)
    if release.mechanism is Mechanism.CONTINUAL:
        paid = (
            f"It cost nothing by itself: one price, {price}, paid for the whole series of "
            f"{release.guarantee.period}, every day of it."
        )
    else:
        paid = f"It cost {price}, once; asking for it again is free."
    return f"{paid} Left of the budget of {release.metric.upper()}: {left}."


def _protection(release: ReleaseView) -> str:
    guarantee = release.guarantee
    promised = wording.promise(release.metric, guarantee.period, guarantee.epsilon, guarantee.delta)
    return (
        "One person's whole stream of events in the period is protected, as if it had been added "
        f"or removed: {promised}, {wording.chance(guarantee.delta)}."
    )


def _mechanism(record: ReleaseRecord) -> str:
    noise, release = _noise(record), record.release
    if release.mechanism is Mechanism.INTRINSIC:
        registers = 2 ** (release.log2_registers or 0)
        return (
            f"A HyperLogLog of {registers:,} registers was made for this value alone, under a "
            "random key that was then forgotten. It held a random part of the people and of "
            "invented ones, who were subtracted; that is what hides each person, and no noise was "
            "added."
        )
    scale = "" if noise.scale is None else f" of scale {noise.scale:,.4g} users"
    if noise.drawn_for == "series":
        return _sampled(release) + (
            f"Continual release: on every day a weighted sum of the counts of {release.period} up "
            f"to that day is measured with {noise.distribution} noise{scale}, and this value was "
            "derived from the measurements up to its day. Weights and scale were fixed before the "
            "period's first value."
        )
    return (
        _sampled(release)
        + f"{_capitalised(noise.distribution)} noise{scale} was added to the count, once."
    )


def _sampled(release: Release) -> str:
    """What stands before the noise if a sample was counted."""
    if release.sketch is not SketchKind.THETA:
        return ""
    return (
        f"One in {release.sensitivity:,} people was counted, chosen once and for all by a keyed "
        f"hash of their id, and stands for {release.sensitivity:,}. "
    )


def _revised(release: ReleaseView) -> str | None:
    if release.revision == 0:
        return None
    key = ReleaseKey(release.metric, release.window_days, release.day, release.revision - 1)
    return key.release_id


def _revision(release: ReleaseView, newest: str) -> str | None:
    said = []
    revised = _revised(release)
    if revised is not None:
        said.append(
            f"This is revision {release.revision}: the day was measured again, on what was known "
            f"at {_moment(release.released_at)}, with new noise. {revised} stands in the record."
        )
    if newest != release.release_id:
        said.append(f"A newer revision exists: {newest}.")
    return " ".join(said) or None


def _limits(release: ReleaseView, runs: int | None) -> Iterator[str]:
    """What the number does not say."""
    if runs is not None:
        yield (
            f"The series counts one person in at most {wording.count(runs, 'run')} of days in "
            f"{release.guarantee.period}. Whoever came and went more often is missing from it "
            "afterwards, so it may be too low, and its interval does not include that."
        )
    released = _moment(release.released_at)
    yield f"It holds what was known at {released}: events that arrived later are not in it."
    yield (
        "People erased since then may be in it. It stands, since it is private about them too; "
        "values published after an erasure exclude them."
    )
    if release.sketch is SketchKind.THETA:
        yield (
            "The same part of the people is counted every day: the interval includes the chance of "
            "who is in it, which is much the same from one day to the next."
        )
    yield "It counts user ids: someone with two of them counts twice."
    yield (
        f"The promise is for {release.metric.upper()} and {release.guarantee.period}: what other "
        "metrics and periods cost comes on top, and the budget's totals state the sum."
    )


def _capitalised(text: str) -> str:
    return text[0].upper() + text[1:]


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
