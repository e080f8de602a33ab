"""Counts that are private by themselves: HyperLogLog under a fresh secret hash.

**What is released.** D is a set of n users, real ones and phantoms. A hash draws for every user
independently whether the user is kept (with probability p) and, if so, one of m registers and a
rank; each register holds the largest rank of the kept users that fell into it. The state S(D) of
the registers, and whatever is computed from it, depends on the *set* of hashes only.

**Theorem.** If p ≤ 1 − e^−ε, and every D has at least m/(1 − e^−ε) users, S is ε-DP for adding or
removing one user. (Dickens, Thaler & Ting, NeurIPS 2022, arXiv 2203.15400: every hash-based,
order-invariant sketch is ε-DP once it is down-sampled so that no new user changes it with more
than probability π0 = 1 − e^−ε, and the cardinality is at least k_max/π0, where k_max bounds how
many users' removal would change a state.)

**Proof.** Let i be a user of D, D' = D without i, and s a state of positive probability. Let π(s)
be the probability that the hash of a new user changes s. Hashes are independent, so

    P(S(D) = s, S(D') = s) = P(S(D') = s)·(1 − π(s)).                                       (1)

*Removing costs at most ε.* A user who is not kept changes nothing, so π(s) ≤ p, and by (1)
P(S(D) = s) ≥ P(S(D') = s)·(1 − p) ≥ P(S(D') = s)·e^−ε.

*Adding costs at most ε.* Call j ∈ D needed if S(D without j) ≠ S(D). A needed user is the only one
who holds the largest rank of a register, so at most m users are needed. Given S(D) = s, all users
of D are needed with the same probability, since their hashes are exchangeable and S does not tell
them apart. So i is needed with at most probability m/n, and with (1)

    P(S(D) = s)·(1 − m/n) ≤ P(S(D) = s, S(D') = s) ≤ P(S(D') = s),

where 1 − m/n ≥ e^−ε if and only if n ≥ m/(1 − e^−ε). ∎

Both inequalities need their condition. Without down-sampling a first user changes an empty sketch
for certain. With too few users, a state with m needed users cannot come from a user less.

**Conditions, and how they are met.** p is threshold/2^64 with the threshold rounded down, and a
user is kept if a uniform 64-bit integer is below it. ⌈m·2^64/threshold⌉ ≥ m/(1 − e^−ε) phantoms,
whose hashes are drawn like everyone's, are in every D, so the cardinality needs no assumption on
the data. They are subtracted after the estimate, which is post-processing. The hash is AES under
a key that is drawn for the release and forgotten (`sketches.hllpp`): the proof holds for truly
random hashes, and for AES to the extent that nobody can tell the two apart, which is what every
cryptographic random generator rests on, that of the operating system's noise included.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from dpdau.errors import InvalidValueError
from dpdau.model.counting import MOST_PHANTOMS, CountVariance
from dpdau.privacy.charges import PureCharge
from dpdau.privacy.checks import require_calibratable

__all__ = ["IntrinsicMechanism"]

_WORD = 2**64
_ROUNDING = 2.0**-50
_FEWEST_BITS, _MOST_BITS = 4, 21


@dataclass(frozen=True, slots=True)
class IntrinsicMechanism:
    """What makes a HyperLogLog estimate ε-DP: down-sampling and phantom users.

    Formal guarantees:
        Unit: one user. Neighbours: sets that differ by one user. The registers of a sketch with
        this `threshold` and these `phantoms`, under a key that is used for one set only and not
        known to anyone, are (`epsilon`, 0)-DP; so is all that is computed from them. See above.

    Attributes:
        epsilon: of one release.
        log2_registers: of the sketch, 4 to 21.
    """

    epsilon: float
    log2_registers: int

    def __post_init__(self) -> None:
        require_calibratable(self.epsilon)
        if not _FEWEST_BITS <= self.log2_registers <= _MOST_BITS:
            expected = f"a whole number from {_FEWEST_BITS} to {_MOST_BITS}"
            raise InvalidValueError("log2_registers", self.log2_registers, expected)
        if self.phantoms > MOST_PHANTOMS:
            expected = f"an ε that needs at most {MOST_PHANTOMS:,} phantoms, not {self.phantoms:,}"
            raise InvalidValueError("epsilon", self.epsilon, expected)

    @property
    def threshold(self) -> int:
        """The largest t known to satisfy t/2^64 ≤ 1 − e^−ε; who has a smaller word is kept."""
        below = Fraction(-math.expm1(-self.epsilon)) * Fraction(1 - _ROUNDING)
        return math.floor(below * _WORD)

    @property
    def phantoms(self) -> int:
        """The users that are in every sketch: m over the share that is kept, rounded up."""
        return -(-(_WORD << self.log2_registers) // self.threshold)

    @property
    def variance(self) -> CountVariance:
        """Of the estimate, in the number of real users."""
        return CountVariance.of_hyperloglog(
            self.log2_registers, self.threshold / _WORD, self.phantoms
        )

    @property
    def delta(self) -> float:
        """The δ of one release: none."""
        return 0.0

    @property
    def charge(self) -> PureCharge:
        """What one release costs: of the mechanism no more is known than its ε."""
        return PureCharge(self.epsilon)
