"""Values of logs and demonstrations that cannot be computed with."""

import numpy as np
import pytest

from agents.logged.values import require_finite


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_no_precision_hides_what_is_not_finite(dtype: type, wrong: float) -> None:
    values = np.array([0.0, 1.0, wrong], dtype)
    with pytest.raises(ValueError, match=r"x is .* in row 12; it must be a finite number"):
        require_finite("log", "x", values, np.arange(10, 13))


def test_the_largest_number_of_a_small_dtype_is_sound() -> None:
    require_finite("log", "x", np.array([65_504.0], np.float16), np.arange(1))
