"""Counting at the scale of a warehouse: presence from tables of events, by Spark.

Spark reads events, replaces user ids by the store's pseudonyms, and counts on each day whom the
flippancy limiter allows. Only these totals come back, into the transaction that adds noise, pays
and records (`dpdau.pipeline.series`). No row of an event is ever in the store.
"""

from dpdau.errors import ExtraMissingError

try:
    import pyspark  # noqa: F401 - so that its absence has a name
except ModuleNotFoundError:
    raise ExtraMissingError("spark") from None

from dpdau.spark.landing import Landed
from dpdau.spark.running import adopt, compact, land, publish
from dpdau.spark.sources import TableSource

__all__ = ["Landed", "TableSource", "adopt", "compact", "land", "publish"]
