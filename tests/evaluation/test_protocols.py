from __future__ import annotations

import numpy as np
import pytest

from terrahash.datasets.split import Split
from terrahash.errors import InputError
from terrahash.evaluation.protocols import PROTOCOLS, arrange

ROLES = ("test", "fit", "test", "validation", "fit", "test")


def split(roles: tuple[str, ...] = ROLES) -> Split:
    return Split("toy", tuple(str(row) for row in range(len(roles))), roles, 0, "by hand", "0")


def test_within_test_leaves_training_images_out() -> None:
    trial = arrange(split(), "within-test")
    np.testing.assert_array_equal(trial.queries, [0, 2, 5])
    np.testing.assert_array_equal(trial.gallery, [0, 2, 5])
    np.testing.assert_array_equal(trial.self_rows, [0, 1, 2])


def test_test_to_train_searches_fit_and_validation() -> None:
    trial = arrange(split(), "test-to-train")
    np.testing.assert_array_equal(trial.gallery, [1, 3, 4])
    np.testing.assert_array_equal(trial.self_rows, [-1, -1, -1])


def test_test_to_all_searches_everything_but_the_query() -> None:
    trial = arrange(split(), "test-to-all")
    np.testing.assert_array_equal(trial.gallery, range(6))
    np.testing.assert_array_equal(trial.gallery[trial.self_rows], trial.queries)


def test_wrong_calls() -> None:
    with pytest.raises(InputError, match="no protocol 'all'"):
        arrange(split(), "all")
    for protocol in PROTOCOLS:
        with pytest.raises(InputError, match="0 queries"):
            arrange(split(("fit", "fit")), protocol)
