"""Which tests one process runs together, since they share what is dear to make."""

from xdist.scheduler import LoadScopeScheduling

__all__ = ["Together"]

_TOGETHER = (
    "tests/integration/spark/",
    "tests/e2e/test_distribution.py",
    "tests/e2e/test_evaluation.py",
    "tests/e2e/test_privacy_of_a_run.py",
    "tests/e2e/test_site.py",
)


class Together(LoadScopeScheduling):
    """Gives each process one test after another, and those of some places to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return next((place for place in _TOGETHER if nodeid.startswith(place)), nodeid)
