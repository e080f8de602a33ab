"""What all views are."""

from pydantic import BaseModel, ConfigDict

__all__ = ["View"]


class View(BaseModel):
    """A JSON object that is shown; it never changes."""

    model_config = ConfigDict(frozen=True)
