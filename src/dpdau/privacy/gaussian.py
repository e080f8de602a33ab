"""Gaussian noise: what it costs and how much of it is needed."""

from dpdau.privacy.discrete_gaussian import discrete_gaussian_epsilon, discrete_gaussian_sigma
from dpdau.privacy.gaussian_curve import gaussian_delta, gaussian_epsilon, gaussian_mu

__all__ = [
    "discrete_gaussian_epsilon",
    "discrete_gaussian_sigma",
    "gaussian_delta",
    "gaussian_epsilon",
    "gaussian_mu",
]
