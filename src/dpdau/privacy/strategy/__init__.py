"""The design of continual releases: strategies, sensitivities, certificates and plans."""

from dpdau.privacy.strategy.check import check_plan
from dpdau.privacy.strategy.plan import Plan, make_plan
from dpdau.privacy.strategy.presence import Presence

__all__ = ["Plan", "Presence", "check_plan", "make_plan"]
