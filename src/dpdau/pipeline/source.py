"""Which activity a store's values are counted from: its own, or tables that Spark reads.

Both at once would count two different crowds in one series, so a store remembers its source, and
everything that stores events or counts users asks for it in the transaction in which it does so.
"""

import secrets

from dpdau.errors import CountedElsewhereError, SeriesRunningError, SettingsError
from dpdau.model.sources import ActivitySource
from dpdau.pipeline.ports import Reader, Store, Transaction
from dpdau.pipeline.rotation import KEY_CHECK

__all__ = ["bind_source", "folder_of", "hand_over_to_spark", "require_source", "source_of"]

_SOURCE = "activity_source"
_FOLDER = "spark_folder"
_FOLDER_BYTES = 8


def source_of(reader: Reader) -> ActivitySource:
    """Where the activity is; in the store itself, unless it was said otherwise."""
    return ActivitySource(reader.meta(_SOURCE) or ActivitySource.STORE)


def require_source(reader: Reader, wanted: ActivitySource, refusal: str) -> None:
    """Pass if values are counted from there.

    Args:
        reader: the store, in the transaction that stores events or counts.
        wanted: where from.
        refusal: what is not done otherwise, and what to do instead.

    Raises:
        CountedElsewhereError: if they are not.
    """
    found = source_of(reader)
    if found is not wanted:
        raise CountedElsewhereError(found, refusal)


def bind_source(store: Store, wanted: ActivitySource) -> None:
    """Let a new store remember its source, or check that of an old one.

    Raises:
        SettingsError: if it is another.
    """
    with store.read() as reader:
        found = source_of(reader)
        is_new = reader.meta(KEY_CHECK) is None
    if is_new and found is not wanted:
        with store.write() as transaction:
            # Another process may have begun to use it since.
            if transaction.meta(KEY_CHECK) is None:
                _keep_spark(transaction)
            found = source_of(transaction)
    if found is not wanted:
        problem = (
            f"ACTIVITY_SOURCE is {wanted}; expected {found}, which the values of this store are "
            "counted from. Set it back; `dpdau spark adopt` hands a store over to Spark"
        )
        raise SettingsError([problem])


def hand_over_to_spark(store: Store) -> None:
    """Let Spark count for a store from its next series on; there is no way back.

    Raises:
        SeriesRunningError: if a series runs, of which only the store knows whom it has counted.
        CountedElsewhereError: if it does so already.
    """
    with store.write() as transaction:
        require_source(transaction, ActivitySource.STORE, "there is nothing to hand over")
        running = transaction.series_keys()
        if running:
            raise SeriesRunningError([key.series_id for key in running])
        _keep_spark(transaction)


def folder_of(reader: Reader) -> str:
    """The name of the folder that belongs to this store among all that Spark keeps."""
    return reader.meta(_FOLDER) or ""


def _keep_spark(transaction: Transaction) -> None:
    transaction.put_meta(_SOURCE, ActivitySource.SPARK)
    transaction.put_meta(_FOLDER, secrets.token_hex(_FOLDER_BYTES))
