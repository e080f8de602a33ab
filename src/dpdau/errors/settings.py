"""The configuration cannot be used."""

from collections.abc import Sequence

from dpdau.errors.base import DpdauError

__all__ = ["SettingsError"]


class SettingsError(DpdauError):
    """A setting has a value that the product cannot start with."""

    slug = "invalid-setting"
    title = "Invalid setting"
    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems), problems=list(self.problems))
