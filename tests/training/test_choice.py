"""How many of the confirmed trainings are exported, and whether that is worth its price."""

import numpy as np
import pytest

from pipeline.evaluation.objectives import OBJECTIVES

pytestmark = pytest.mark.keras

ACCURACY = OBJECTIVES["val_accuracy"]
LABELS = np.array([0, 1, 0, 1])


def best_size(votes):
    """As in the module, which imports Keras."""
    from pipeline.training import choice

    return choice.best_size(votes, LABELS)


def votes(*of_class_0):
    first = np.array(of_class_0, np.float32)
    return np.stack([first, 1 - first], axis=1)


# Each is wrong about one image, and sure where the other is wrong.
ONE, OTHER = votes(0.9, 0.1, 0.45, 0.1), votes(0.45, 0.1, 0.9, 0.1)
USELESS = votes(0.0, 1.0, 0.0, 1.0)


class TestSize:
    """By the log loss of the validation part."""

    def test_a_configuration_that_helps_is_taken(self):
        assert best_size([ONE, OTHER]) == 2

    def test_one_that_harms_is_left_out_with_what_follows(self):
        assert best_size([ONE, USELESS, OTHER]) == 1

    def test_one_that_helps_in_spite_of_a_lower_accuracy_is_taken(self):
        """The first was chosen for its accuracy on these very images."""
        unsure, sure = votes(0.51, 0.49, 0.51, 0.49), votes(0.95, 0.05, 0.95, 0.52)
        assert best_size([unsure, sure]) == 2

    def test_the_smaller_wins_a_tie(self):
        assert best_size([ONE, ONE, ONE]) == 1

    def test_who_asks_for_an_ensemble_gets_two_where_there_are_two(self):
        from pipeline.training import choice

        assert choice.best_size([ONE, USELESS, OTHER], LABELS, fewest=2) == 3
        assert choice.best_size([ONE, USELESS], LABELS, fewest=2) == 2
        assert choice.best_size([ONE], LABELS, fewest=2) == 1

    def test_the_winner_is_always_in_it(self):
        assert best_size([USELESS]) == 1
        assert best_size([np.full((4, 2), np.nan, np.float32)]) == 1


class TestSpeed:
    """Of an ensemble that is too slow, as many networks are taken as are fast enough."""

    @pytest.fixture
    def chosen(self, monkeypatch):
        """From what a further network adds to the time, to how many are taken, and what was tried.

        Each of 13 networks makes the ensemble better.
        """
        from types import SimpleNamespace

        from pipeline.training import choice

        noise = np.random.default_rng(1).normal(size=(13, 4000))
        sure = 1 / (1 + np.exp(-(0.7 + 1.5 * noise)))
        labels, tried = np.zeros(4000, np.int64), []
        answers = [(np.stack([one, 1 - one], axis=1), labels) for one in sure]
        monkeypatch.setattr(choice, "read_manifest", lambda folder: None)
        monkeypatch.setattr(choice, "_load", lambda number, manifest: number)
        monkeypatch.setattr(choice, "mean_probabilities", lambda one, data, part: answers[one[0]])

        def chosen(each, rule="auto", max_slowdown=2.0, first=None):
            tried.clear()
            if first is not None:
                answers[0] = (np.tile([first, 1 - first], (4000, 1)), labels)

            def weighed(members, size, *args, max_slowdown, **settings):
                tried.append(size)
                slowdown = 1 + each * (size - 1)
                taken = size if slowdown <= max_slowdown or rule == "ensemble" else 1
                return choice.Choice(members=members[:taken]), slowdown

            monkeypatch.setattr(choice, "_weighed", weighed)
            specs = [SimpleNamespace(uid=number) for number in range(13)]
            found = choice.choose(
                specs,
                {number: number for number in range(13)},
                SimpleNamespace(features="."),
                ACCURACY,
                rule=rule,
                part="confirmation",
                image_shape=(8, 8),
                max_slowdown=max_slowdown,
            )
            assert bool(found.reason) is not bool(tried)
            return len(found.members), tried

        return chosen

    def test_all_that_help_are_taken_where_they_are_fast_enough(self, chosen):
        taken, tried = chosen(0.01)
        assert tried == [taken]
        assert taken > 8

    def test_the_best_on_the_validation_part_come_into_question(self, chosen, monkeypatch):
        from pipeline.training import choice

        monkeypatch.setattr(choice, "MOST_MEMBERS", 4)
        assert chosen(0.01) == (4, [4])

    def test_as_many_as_are_fast_enough_are_taken_else(self, chosen):
        taken, tried = chosen(0.25)
        assert taken == tried[-1] <= 5
        assert taken > 1

    def test_none_is_taken_where_two_are_too_slow(self, chosen):
        taken, tried = chosen(1.5)
        assert taken == 1
        assert len(tried) == 1

    def test_who_asks_for_an_ensemble_gets_it_though_it_does_not_help(self, chosen):
        assert chosen(0.01, rule="ensemble", first=0.999) == (2, [2])
        assert chosen(0.01, first=0.999) == (1, [])

    def test_who_asks_for_an_ensemble_gets_it_however_slow(self, chosen):
        taken, tried = chosen(0.25, rule="ensemble")
        assert tried == [taken]


class TestVerdict:
    """Only an ensemble that is no worse, and shown to be better or next to free, is taken."""

    labels = np.arange(1000) % 2

    def answers(self, *, sure, num_wrong):
        """Gives the right class a probability, but for the first images."""
        right = np.full(1000, sure, np.float32)
        right[:num_wrong] = 1 - sure
        return np.where(self.labels[:, None] == np.arange(2), right[:, None], 1 - right[:, None])

    def verdict(self, ensemble, single, *, objective=ACCURACY, slowdown=1.5):
        from pipeline.training.price import verdict

        return verdict(
            self.answers(**ensemble),
            self.answers(**single),
            self.labels,
            objective,
            slowdown=slowdown,
            max_slowdown=2.0,
        )

    def test_a_better_one_is_taken(self):
        is_worth, reason = self.verdict(
            {"sure": 0.9, "num_wrong": 80}, {"sure": 0.9, "num_wrong": 100}
        )
        assert is_worth
        assert "accuracy 0.9200 and log loss" in reason
        assert "0.9000" in reason

    def test_one_whose_probabilities_alone_are_better_is_taken(self):
        assert self.verdict({"sure": 0.95, "num_wrong": 40}, {"sure": 0.8, "num_wrong": 40})[0]

    def test_one_of_lower_accuracy_is_not(self):
        is_worth, reason = self.verdict(
            {"sure": 0.95, "num_wrong": 41}, {"sure": 0.8, "num_wrong": 40}
        )
        assert not is_worth
        assert reason.startswith("worse: ")

    def test_one_whose_accuracy_alone_is_shown_to_be_better_is_taken(self):
        """Its log loss is lower by a standard error."""
        from pipeline.training.price import verdict

        generator = np.random.default_rng(0)
        single, ensemble = (generator.permutation(np.linspace(0.55, 0.99, 1000)) for _ in range(2))
        single[:60], ensemble[:45] = 0.49, 0.49
        sides = [np.stack([one, 1 - one], axis=1).astype(np.float32) for one in (ensemble, single)]
        labels = np.zeros(1000, np.int64)
        is_worth, reason = verdict(*sides, labels, ACCURACY, slowdown=1.5, max_slowdown=2.0)
        assert is_worth
        assert reason.startswith("shown to be better: accuracy 0.9550")

    def test_one_measure_is_tested_once(self):
        from pipeline.training.price import verdict

        generator, values = np.random.default_rng(0), np.linspace(0.55, 0.95, 1000)
        right = [generator.permutation(values + more) for more in (0.01, 0.0)]
        sides = [np.stack([one, 1 - one], axis=1).astype(np.float32) for one in right]
        labels = np.zeros(1000, np.int64)
        by_loss, by_both = (
            float(
                verdict(*sides, labels, OBJECTIVES[name], slowdown=1.5, max_slowdown=2.0)[1]
                .split("p = ")[1]
                .split(")")[0]
            )
            for name in ("val_log_loss", "val_accuracy")
        )
        assert 0.001 < by_loss < 0.5
        assert by_both == pytest.approx(2 * by_loss, rel=0.1)

    def test_one_of_higher_log_loss_is_not(self):
        is_worth, reason = self.verdict(
            {"sure": 0.6, "num_wrong": 80}, {"sure": 0.9, "num_wrong": 100}
        )
        assert not is_worth
        assert reason.startswith("worse: ")

    def test_one_that_costs_next_to_nothing_need_not_be_shown_to_be_better(self):
        told = {"sure": 0.9, "num_wrong": 99}, {"sure": 0.9, "num_wrong": 100}
        is_worth, reason = self.verdict(*told, slowdown=1.1)
        assert is_worth
        assert reason.startswith("no worse, and next to free: ")

    def test_one_that_may_be_lucky_is_not(self):
        is_worth, reason = self.verdict(
            {"sure": 0.9, "num_wrong": 99}, {"sure": 0.9, "num_wrong": 100}
        )
        assert not is_worth
        assert reason.startswith("not shown to be better: ")

    def test_one_that_is_too_slow_is_not(self):
        is_worth, reason = self.verdict(
            {"sure": 0.9, "num_wrong": 80}, {"sure": 0.9, "num_wrong": 100}, slowdown=2.1
        )
        assert not is_worth
        assert "2.10 times the time" in reason

    def test_of_two_equal_ones_it_is_taken_in_one_case_of_twenty_at_most(self):
        """The stated confidence, of draws in which neither is better: 300, of 400 images."""
        from pipeline.training.price import verdict

        generator, num_taken = np.random.default_rng(1), 0
        for _ in range(300):
            hard = generator.beta(4, 1, size=(2, 400)).astype(np.float32)
            sides = [np.stack([right, 1 - right], axis=1) for right in hard]
            labels = np.zeros(400, np.int64)
            found, _ = verdict(*sides, labels, ACCURACY, slowdown=1.5, max_slowdown=2.0)
            num_taken += found
        # 15 are expected at most; 26 are three standard deviations more.
        assert num_taken <= 26


def test_models_are_timed_side_by_side():
    import keras

    from pipeline.training.price import speeds

    def model(num_layers):
        images = keras.Input((8, 8), dtype="uint8")
        x = keras.layers.Flatten()(keras.layers.Rescaling(1.0)(images))
        for _ in range(num_layers):
            x = keras.layers.Dense(512)(x)
        return keras.Model(images, keras.layers.Dense(2, activation="softmax")(x))

    small, large = speeds([model(0), model(40)], np.zeros((128, 8, 8), np.uint8))
    assert small > 2 * large
