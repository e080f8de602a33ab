"""A differentially private counter of daily and monthly active users that honours deletions."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("dpdau")
