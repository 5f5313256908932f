"""The curve that is tested and logged is the one that the optimizer uses."""

import numpy as np
import pytest

pytestmark = pytest.mark.keras

TABLE = np.array([0.5, 0.25, 0.125], np.float32)


def test_an_optimizer_takes_each_step_at_the_tables_rate_and_holds_the_last():
    import keras

    from pipeline.training.tabulated import TabulatedSchedule

    optimizer = keras.optimizers.SGD(TabulatedSchedule(TABLE))
    weights = keras.Variable([0.0])
    positions = []
    for _ in range(5):
        optimizer.apply([np.ones(1, np.float32)], [weights])
        positions.append(float(np.array(weights)[0]))
    steps = -np.diff([0.0, *positions])
    assert steps.tolist() == [0.5, 0.25, 0.125, 0.125, 0.125]


def test_its_configuration_is_the_table():
    from pipeline.training.tabulated import TabulatedSchedule

    assert TabulatedSchedule(TABLE).get_config() == {"table": [0.5, 0.25, 0.125]}
