"""What readers see: releases, budgets, plans and erasures as JSON objects.

The service and the command line show the same objects. Everything here is derived from the
ledger and the configuration; nothing depends on the activity except through noise.
"""

from dpdau.views.budgets import BudgetTotalsView, BudgetView, PairView, RdpView
from dpdau.views.erasures import ErasureView, ReceiptView
from dpdau.views.explanations import ExplanationView
from dpdau.views.forecasts import ForecastView
from dpdau.views.integrity import VerificationView
from dpdau.views.releases import GuaranteeView, ReleaseView, SeriesView, ValueView
from dpdau.views.rotations import RotationView
from dpdau.views.stickiness import StickinessValueView, StickinessView

__all__ = [
    "BudgetTotalsView",
    "BudgetView",
    "ErasureView",
    "ExplanationView",
    "ForecastView",
    "GuaranteeView",
    "PairView",
    "RdpView",
    "ReceiptView",
    "ReleaseView",
    "RotationView",
    "SeriesView",
    "StickinessValueView",
    "StickinessView",
    "ValueView",
    "VerificationView",
]
