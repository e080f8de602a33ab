"""How far the rotation of the secret is."""

from datetime import date
from typing import Literal

from pydantic import Field

from dpdau.pipeline.rotation import RotationStatus
from dpdau.views.base import View

__all__ = ["RotationView"]

_NEXT_STEPS = {
    "none": "Nothing to do. To replace HASH_SALT_SECRET, set HASH_SALT_SECRET_PREVIOUS to it and "
    "HASH_SALT_SECRET to a new one, and start again.",
    "running": "Leave both secrets set. People move when they are next heard of, and what is left "
    "goes with the retention.",
    "complete": "Unset HASH_SALT_SECRET_PREVIOUS, start again, and destroy the former secret.",
}


class RotationView(View):
    """How many people are still known by pseudonyms made with the previous secret."""

    state: Literal["none", "running", "complete"] = Field(
        description="complete once nothing needs HASH_SALT_SECRET_PREVIOUS any more."
    )
    started_on: date | None = Field(description="The day on which the secret was replaced.")
    users_done: int = Field(
        description="How many of those known then have moved, were erased or were forgotten."
    )
    users_remaining: int = Field(description="How many are known under the previous secret only.")
    tombstones_remaining: int = Field(
        description="How many people erased before that still need it, so that what comes late of "
        "them stays refused."
    )
    ends_by: date | None = Field(
        description="When the retention has dropped the last of them, as long as closed days are "
        "published; null unless a rotation runs."
    )
    next_step: str = Field(description="What to do now.")

    @classmethod
    def of(cls, status: RotationStatus | None) -> "RotationView":
        """The view of a rotation; None if there was none."""
        if status is None:
            return cls(
                state="none",
                started_on=None,
                users_done=0,
                users_remaining=0,
                tombstones_remaining=0,
                ends_by=None,
                next_step=_NEXT_STEPS["none"],
            )
        state: Literal["running", "complete"] = "complete" if status.is_complete else "running"
        return cls(
            state=state,
            started_on=status.started_on,
            users_done=status.users - status.users_remaining,
            users_remaining=status.users_remaining,
            tombstones_remaining=status.tombstones_remaining,
            ends_by=None if status.is_complete else status.ends_by,
            next_step=_NEXT_STEPS[state],
        )
