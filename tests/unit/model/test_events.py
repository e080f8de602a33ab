import numpy as np
import pytest

from dpdau.model.events import EventColumns


def test_columns_of_different_lengths_are_no_events() -> None:
    with pytest.raises(ValueError, match=r"Expected columns of one length, got \[1, 2\]"):
        EventColumns(
            ["ada", "grace"],
            np.zeros(2, dtype=np.int32),
            np.ones(2, dtype=np.bool_),
            np.zeros(1, dtype=np.bool_),
        )
