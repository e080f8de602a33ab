"""How far the store has read streams of events, so that each event is applied once and in order.

A stream is read from a broker, which may deliver a message again: after a consumer died between
the commit and its acknowledgement, or while one that was thought dead still holds a batch. Neither
may be applied again behind what came after it: a "+" would overtake the "-" that took it back, and
someone who was erased meanwhile would return. So the store itself remembers the position of the
last message whose events it has, in the transaction that stores them, and takes a batch only if the
batch follows directly on that position.

Every batch is an unbroken stretch of its stream, in order, from behind a position that the store
had. By induction over the transactions the store then has, at every moment, exactly the events up
to its position, each applied once and in the stream's order, whoever dies when. This rests on the
one condition that a consumer reads a stretch without a gap.
"""

from dataclasses import dataclass

from dpdau.errors import PositionMovedError
from dpdau.pipeline.ports import Reader, Transaction

__all__ = ["Advance", "position_in"]


@dataclass(frozen=True, slots=True)
class Advance:
    """A stretch of one stream.

    Attributes:
        source: names the stream, the same for as long as its positions mean the same.
        behind: the position that it follows on; None at the beginning.
        to: the position of its last message.
    """

    source: str
    behind: int | None
    to: int

    def carry_out(self, transaction: Transaction) -> None:
        """Move the store's position, in the transaction that stores the stretch's events.

        Raises:
            PositionMovedError: if the store stands elsewhere.
        """
        if position_in(transaction, self.source) != self.behind:
            raise PositionMovedError(self.source)
        transaction.put_meta(_name(self.source), str(self.to))


def position_in(reader: Reader, source: str) -> int | None:
    """The position of the last message of a stream whose events are stored; None if of none."""
    position = reader.meta(_name(source))
    return None if position is None else int(position)


def _name(source: str) -> str:
    return f"position in {source}"
