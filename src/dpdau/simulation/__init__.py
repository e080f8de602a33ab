"""Made-up activity with a known truth, for demonstrations and evaluations; nothing here is secret."""

from dpdau.simulation.arrivals import Arrivals, Simulation
from dpdau.simulation.files import ACTIVITY_SUFFIXES, WrittenActivity, truth_path, write_activity
from dpdau.simulation.population import Population
from dpdau.simulation.synthetic import SyntheticActivity
from dpdau.simulation.truth import Truth

__all__ = [
    "ACTIVITY_SUFFIXES",
    "Arrivals",
    "Population",
    "Simulation",
    "SyntheticActivity",
    "Truth",
    "WrittenActivity",
    "truth_path",
    "write_activity",
]
