"""Stickiness: how many of a month's users come on a day, as post-processing of both series."""

from datetime import date

from pydantic import Field

from dpdau.model.releases import Release
from dpdau.pipeline.publish import SeriesAnswer
from dpdau.privacy.ratios import share_interval
from dpdau.views.base import View

__all__ = ["StickinessValueView", "StickinessView"]


class StickinessValueView(View):
    """DAU/MAU of one day."""

    day: date
    stickiness: float | None = Field(
        description="The published DAU by the published MAU, from 0 to 1; null if that MAU is 0."
    )
    lower_95: float = Field(description="Lower end of the two-sided 95 % interval.")
    upper_95: float
    dau_release_id: str
    mau_release_id: str

    @classmethod
    def of(cls, daily: Release, monthly: Release) -> "StickinessValueView":
        """The view of a day's two values."""
        share = min(daily.estimate / monthly.estimate, 1.0) if monthly.estimate else None
        interval = share_interval(
            daily.estimate_raw, _half_width(daily), monthly.estimate_raw, _half_width(monthly)
        )
        return cls(
            day=daily.day,
            stickiness=share,
            lower_95=interval.lower,
            upper_95=interval.upper,
            dau_release_id=daily.release_id,
            mau_release_id=monthly.release_id,
        )


class StickinessView(View):
    """DAU/MAU of a range of days; it costs nothing, since both are published already."""

    start: date
    end: date
    window_days: int = Field(description="The trailing days of the MAU.")
    values: list[StickinessValueView]
    missing: list[date] = Field(description="Days for which DAU or MAU is not published (yet).")

    @classmethod
    def of(
        cls, daily: SeriesAnswer, monthly: SeriesAnswer, start: date, end: date
    ) -> "StickinessView":
        """The view of both series over the same days."""
        months = {release.day: release for release in monthly.releases}
        return cls(
            start=start,
            end=end,
            window_days=monthly.window_days,
            values=[
                StickinessValueView.of(release, months[release.day])
                for release in daily.releases
                if release.day in months
            ],
            missing=sorted({*daily.unpublished, *monthly.unpublished}),
        )


def _half_width(release: Release) -> float:
    """The wider side of the 95 % interval; the lower end may have been clamped at 0."""
    return max(release.upper_95 - release.estimate_raw, release.estimate_raw - release.lower_95)
