"""Contract of every schedule, then the exact curve of each."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.config import read_document
from pipeline.errors import ConfigError
from pipeline.training.schedules import SCHEDULES, learning_rate_table

# The parameters of a schedule that is new have their defaults.
SETTINGS = {
    **read_document(Path(__file__).parents[2] / "params.yaml")["defaults"],
    "learning_rate": 0.3,
    "decay_epochs": 2.0,
    "decay_power": 1.0,
    "drop_epochs": 2.0,
    "drop_factor": 0.5,
    "cycle_peak": 0.3,
    "plateau_factor": 0.5,
    "plateau_patience": 2,
}
WITH_WARMUP = sorted(SCHEDULES.parameters["warmup_epochs"].active_when["schedule"])


def table(schedule, *, num_steps=100, steps_per_epoch=10, **changes):
    values = {**SETTINGS, "schedule": schedule, **changes}
    return learning_rate_table(values, num_steps=num_steps, steps_per_epoch=steps_per_epoch)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
class TestEverySchedule:
    def test_gives_a_float32_rate_for_each_step(self, name):
        rates = table(name, num_steps=997)
        assert rates.shape == (997,)
        assert rates.dtype == np.float32

    def test_stays_within_zero_and_peak(self, name):
        rates = table(name, num_steps=997)
        assert rates.min() >= 0
        assert rates.max() <= np.float32(0.3)

    def test_scales_with_the_learning_rate(self, name):
        np.testing.assert_allclose(table(name, learning_rate=0.6), 2 * table(name), rtol=1e-6)

    def test_never_starts_at_zero(self, name):
        assert table(name, num_steps=1)[0] > 0

    def test_is_documented(self, name):
        assert "f(t) =" in SCHEDULES.get(name).__doc__


@pytest.mark.parametrize("name", WITH_WARMUP)
class TestEveryScheduleWithWarmup:
    def test_climbs_linearly_to_the_peak(self, name):
        rates = table(name, warmup_epochs=2.0)
        np.testing.assert_allclose(rates[:20], 0.3 * np.arange(1, 21) / 20, rtol=1e-6)

    def test_starts_its_own_curve_after_warmup(self, name):
        rates = table(name, num_steps=100, warmup_epochs=2.0)
        np.testing.assert_allclose(rates[20:], table(name, num_steps=80), rtol=1e-6)

    def test_never_rises_after_warmup(self, name):
        assert np.all(np.diff(table(name, warmup_epochs=2.0)[20:]) <= 0)

    def test_a_warmup_longer_than_the_training_is_cut_off(self, name):
        rates = table(name, num_steps=10, warmup_epochs=2.0)
        np.testing.assert_allclose(rates, 0.3 * np.arange(1, 11) / 20, rtol=1e-6)


@pytest.mark.parametrize("name", ["constant", "performance"])
def test_constant_and_performance_keep_the_peak(name):
    np.testing.assert_array_equal(table(name), np.full(100, np.float32(0.3)))


def test_power_halves_after_s_and_divides_by_three_after_twice_s():
    rates = table("power", learning_rate=1.0)
    assert rates[[0, 20, 40, 60]] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])


def test_power_is_raised_to_c():
    rates = table("power", learning_rate=1.0, decay_power=2.0)
    assert rates[[20, 60]] == pytest.approx([1 / 4, 1 / 16])


def test_exponential_divides_by_ten_every_s_steps():
    rates = table("exponential", learning_rate=1.0)
    assert rates[[0, 10, 20, 40]] == pytest.approx([1, 0.316228, 0.1, 0.01], rel=1e-5)


def test_piecewise_constant_drops_at_the_first_step_of_an_epoch():
    rates = table("piecewise_constant", learning_rate=1.0)
    assert rates[[0, 19, 20, 39, 40, 99]].tolist() == [1, 1, 0.5, 0.5, 0.25, 0.0625]


def test_cosine_is_half_of_the_peak_halfway_and_small_at_the_end():
    rates = table("cosine", learning_rate=1.0)
    assert rates[50] == pytest.approx(0.5)
    assert rates[25] == pytest.approx(0.853553)
    assert 0 < rates[99] < 0.001


def test_one_cycle_climbs_returns_and_ends_three_orders_below_its_start():
    rates = table("one_cycle", learning_rate=1.0, num_steps=1001)
    assert rates[[0, 150, 300, 600, 900, 1000]] == pytest.approx([0.1, 0.55, 1, 0.55, 0.1, 1e-4])


def test_one_cycle_with_a_late_peak_still_comes_down():
    rates = table("one_cycle", learning_rate=1.0, num_steps=1001, cycle_peak=0.95)
    assert rates[[950, 975, 1000]] == pytest.approx([1, 0.1, 1e-4])


def test_epochs_become_steps_by_the_steps_of_an_epoch():
    short, long = table("exponential"), table("exponential", num_steps=1000, steps_per_epoch=100)
    np.testing.assert_allclose(short, long[::10], rtol=1e-6)


def test_an_unknown_name_lists_the_choices_and_the_nearest():
    with pytest.raises(ConfigError, match=r"Did you mean 'cosine'.*constant, cosine, exponential"):
        table("cosin")
