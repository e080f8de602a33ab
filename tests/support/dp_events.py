"""The charges of the ledger in `dp_accounting`'s words, to compare with its accountants."""

import math

from dp_accounting import dp_event

from dpdau.privacy.charges import Charge, GaussianCharge, LaplaceCharge, PureCharge


def event_of(charge: Charge) -> dp_event.DpEvent:
    """The same mechanism, but for Gaussian noise the continuous one of the same σ."""
    match charge:
        case LaplaceCharge(scale, sensitivity):
            return dp_event.DiscreteLaplaceDpEvent(1 / scale, sensitivity)
        case GaussianCharge(sigma, sensitivity_squared):
            return dp_event.GaussianDpEvent(sigma / math.sqrt(sensitivity_squared))
        case PureCharge(0.0):
            return dp_event.NoOpDpEvent()
        case PureCharge(epsilon):
            # Randomised response is discrete Laplace noise on a bit.
            return dp_event.DiscreteLaplaceDpEvent(epsilon, 1)
