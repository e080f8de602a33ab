"""What the ledger says about one release."""

from dataclasses import dataclass

from dpdau.errors import ReleaseNotFoundError
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Release, ReleaseKey, SeriesKey
from dpdau.pipeline.ledger import latest_release, release_of
from dpdau.pipeline.ports import Reader
from dpdau.privacy.strategy import Plan

__all__ = ["ReleaseRecord", "find_release", "record_of"]


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """A release and what was recorded around it.

    Attributes:
        release: the release.
        plan: the plan that it is a row of; None outside a continual series.
        newest: the newest answer to the same question, perhaps itself.
    """

    release: Release
    plan: Plan | None
    newest: Release


def find_release(reader: Reader, release_id: str) -> Release:
    """The release with that id.

    Raises:
        ReleaseNotFoundError: if there is none.
    """
    row = reader.ledger_row(LedgerKind.RELEASE, release_id)
    if row is None:
        raise ReleaseNotFoundError(release_id)
    return release_of(row)


def record_of(reader: Reader, release_id: str) -> ReleaseRecord:
    """The release with that id, its plan and its revisions.

    Raises:
        ReleaseNotFoundError: if there is none.
    """
    release = find_release(reader, release_id)
    plan = None
    if release.plan_id is not None:
        series = SeriesKey(release.metric, release.window_days, release.period)
        row = reader.ledger_row(LedgerKind.SERIES, series.series_id)
        plan = None if row is None else Plan.from_dict(row.body)
    key = ReleaseKey(release.metric, release.window_days, release.day, release.revision)
    return ReleaseRecord(release, plan, latest_release(reader, key) or release)
