"""What verification of the ledger found."""

from typing import Literal

from pydantic import Field

from dpdau.model.ledger import LedgerKind
from dpdau.pipeline.integrity import Verification
from dpdau.views.base import View

__all__ = ["VerificationView"]


class VerificationView(View):
    """A ledger that is whole."""

    valid: Literal[True] = True
    rows: int
    kinds: dict[LedgerKind, int] = Field(description="How many rows of each kind.")
    head: str | None = Field(description="The newest row's hash; null if there is none.")
    remarks: list[str] = Field(description="What is no fault but worth knowing.")

    @classmethod
    def of(cls, found: Verification) -> "VerificationView":
        """The view of what was found."""
        return cls(
            rows=found.rows, kinds=dict(found.kinds), head=found.head, remarks=list(found.remarks)
        )
