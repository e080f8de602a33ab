"""The square-root factorisation, for periods whose patterns are too many to enumerate.

With A the prefix-sum matrix, v = Aδ for the differences δ of a presence vector. Measuring
A^(1/2)δ and multiplying by A^(1/2) answers all prefix sums (Fichtenberger, Henzinger & Upadhyay
2023; Dvijotham et al. 2024, arXiv 2404.16706): the rows are C = A^(1/2)·A⁻¹ in terms of v.
A^(1/2) is lower-triangular and Toeplitz with the coefficients of (1 − z)^(−1/2), which are
positive and decrease. They are rounded before the differences are taken, so that the integer CA
is exactly Toeplitz, non-negative and non-increasing, which is what
`sensitivity.by_alternating_flips` needs.
"""

from dpdau.privacy.strategy.factor import SCALE
from dpdau.privacy.strategy.sensitivity import Rows

__all__ = ["square_root_rows"]


def square_root_rows(days: int) -> Rows:
    """The integer strategy: Toeplitz, one on the diagonal (times the scale)."""
    coefficient = 1.0
    on_differences = []
    for lag in range(days):
        on_differences.append(round(SCALE * coefficient))
        coefficient *= (2 * lag + 1) / (2 * lag + 2)
    steps = zip([0, *on_differences], on_differences, strict=False)
    on_presence = [later - earlier for earlier, later in steps]
    return tuple(
        tuple(on_presence[day - j] if j <= day else 0 for j in range(days)) for day in range(days)
    )
