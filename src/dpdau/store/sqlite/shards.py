"""Who was active on which day: one Roaring bitmap for each day and shard of 65,536 indices.

A shard is one container of a Roaring bitmap. In memory and on disk shards are replaced, never
changed, so that whoever holds one keeps what it was.
"""

from collections.abc import Iterable, Iterator, Mapping

from pyroaring import BitMap

from dpdau.pipeline.ports import OUTDATED
from dpdau.store.sharding import NOBODY
from dpdau.store.sqlite.cells import Cells, Place
from dpdau.store.sqlite.session import Session, as_json

__all__ = ["Day", "Shards"]


class Day(dict[int, BitMap]):
    """Who was active on a day, by shard; not changed any more once it is in a snapshot."""

    _everyone: BitMap | None = None

    def everyone(self) -> BitMap:
        """All shards as one, made when first asked for; not to be changed either.

        A union of days is twice as fast with one bitmap a day as with one a shard.
        """
        if self._everyone is None:
            self._everyone = BitMap.union(BitMap(), *self.values())
        return self._everyone


class Shards:
    """The membership of a file."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._cells = Cells(session)

    def members(self, first_day: int, last_day: int, left: Mapping[int, BitMap]) -> BitMap:
        """Everyone active on any of these days (both included), one shard in memory at a time.

        Args:
            first_day: the first of the days.
            last_day: the last of them.
            left: who is not to be counted, by day.
        """
        members = BitMap()
        rows = self._session.each("shards_of_days", first_day=first_day, last_day=last_day)
        for day, _, cell in rows:
            members |= self._bitmap(cell, day) - left.get(day, NOBODY)
        return members

    def of_days(self, first_day: int, last_day: int) -> dict[int, Day]:
        """Everyone active on each of these days (both included)."""
        days = {day: Day() for day in range(first_day, last_day + 1)}
        rows = self._session.each("shards_of_days", first_day=first_day, last_day=last_day)
        for day, shard, cell in rows:
            days[day][shard] = self._bitmap(cell, day)
        return days

    def all_days(self) -> list[int]:
        """The days of which there is any bitmap, ascending, without `OUTDATED`."""
        return [day for (day,) in self._session.rows("all_days", outdated=OUTDATED)]

    def newest_day(self) -> int | None:
        """The last day that anyone was active on; None if there is none."""
        day: int | None = self._session.row("newest_day")[0]
        return day

    def of_day(self, day: int, shards: Iterable[int]) -> Iterator[tuple[int, BitMap]]:
        """Those of these shards in which anyone was active on a day."""
        for shard, cell in self._session.rows("some_shards", day=day, shards=as_json(shards)):
            yield shard, self._bitmap(cell, day)

    def days_of(self, shard: int) -> list[int]:
        """The days of which there is a bitmap of a shard."""
        return [day for (day,) in self._session.rows("days_of_shard", shard=shard)]

    def of_shard(self, shard: int, days: Iterable[int]) -> Iterator[tuple[int, BitMap]]:
        """A shard's bitmaps of these days."""
        for day, cell in self._session.rows("some_days", shard=shard, days=as_json(days)):
            yield day, self._bitmap(cell, day)

    def write(self, day: int, shards: Mapping[int, BitMap]) -> None:
        """Replace the bitmaps of a day."""
        rows = self._session.rows("places_of_shards", day=day, shards=as_json(shards))
        places = {shard: Place(cell, capacity) for shard, cell, capacity in rows}
        after = self._cells.put_all(
            [(members.serialize(), places.get(shard)) for shard, members in shards.items()]
        )
        moved = [
            {"day": day, "shard": shard, "cell": place.cell, "capacity": place.capacity}
            for shard, place in zip(shards, after, strict=True)
            if place != places.get(shard)
        ]
        self._session.run_for_each("put_shard", moved)

    def drop_before(self, first_day: int, day: int) -> bool:
        """Forget the days from the first to the one before another; says whether any was there."""
        rows = self._session.rows("drop_shards", first_day=first_day, day=day)
        self._cells.free(Place(cell, capacity) for cell, capacity in rows)
        return bool(rows)

    def _bitmap(self, cell: bytes, day: int) -> BitMap:
        try:
            return BitMap.deserialize(self._cells.content(cell))
        except (IndexError, ValueError) as error:
            raise self._session.corrupt(f"a bitmap of day {day} is broken") from error
