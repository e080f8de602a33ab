"""Erasures and how far they are."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from dpdau.model.erasures import Erasure
from dpdau.views.base import View

__all__ = ["ErasureView"]


class ErasureView(View):
    """The state of an erasure; the same whether the people were known or not."""

    erasure_id: str
    state: Literal["received", "done"] = Field(
        description="done once no page on disk holds a trace."
    )
    requested_at: datetime
    completed_at: datetime | None
    users: int = Field(description="How many distinct people the request named.")

    @classmethod
    def of(cls, erasure: Erasure) -> "ErasureView":
        """The view of a record."""
        return cls(
            erasure_id=erasure.erasure_id,
            state="received" if erasure.completed_at is None else "done",
            requested_at=erasure.requested_at,
            completed_at=erasure.completed_at,
            users=erasure.users,
        )
