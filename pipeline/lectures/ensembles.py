"""Votes of several networks: averaging, bagging and boosting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipeline.data.rows import part_labels
from pipeline.lectures.compare import JUDGE, METRIC, Judged, hyperparameters
from pipeline.lectures.comparison import Claim
from pipeline.lectures.demonstration import Demonstration, Ground, Shown, table
from pipeline.lectures.figures import curves_of
from pipeline.lectures.variants import PLAIN, better, more
from pipeline.lectures.words import points
from pipeline.search.all_of_them import train_all
from pipeline.training.boosting import Boosting, Rule, samme, samme_r, sum_of_logs, vote_of
from pipeline.training.drawn_images import DrawnImages
from pipeline.training.messages import TrialSpec, answers_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.hyperparameter import Value
    from pipeline.search.executors.base import Executor
    from pipeline.training.data import TrialData

    Probabilities = NDArray[np.floating]
    Labels = NDArray[np.int64]

SIZE: Final = 5
"""Networks of an average or a bag."""
REPEATS: Final = 3
NUM_ROUNDS: Final = 10
LEARNERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "weak": {"num_layers": 1, "units": 3},
    "strong": {"num_layers": 2, "units": 200},
}
"""The weak one is only just better than chance; the strong one overfits."""
EPOCHS: Final = 8
ALONE, AVERAGE, BAG = "alone", "average", "bag"
BOOSTED, BOOSTED_R = "SAMME", "SAMME.R"
RULES: Final[Mapping[str, Rule]] = {BOOSTED: samme, BOOSTED_R: samme_r}

BAGGING_CLAIMS: Final = (
    better("strong, bag", "strong, alone", "a bag better than one strong network"),
    better("strong, average", "strong, alone", "an average better than one of them"),
    better("strong, average", "strong, bag", "an average better than a bag"),
    more(
        "bagging gains more from strong networks",
        ("strong, bag", "strong, alone"),
        ("weak, bag", "weak, alone"),
    ),
)
BOOSTING_CLAIMS: Final = (
    better("weak, SAMME", "weak, alone", "boosting helps a weak network"),
    more(
        "boosting gains more from weak networks",
        ("weak, SAMME", "weak, alone"),
        ("strong, SAMME", "strong, alone"),
    ),
    better("weak, SAMME.R", "weak, SAMME", "probabilities vote better than classes"),
)


def _bagging(ground: Ground, executor: Executor) -> Shown:
    labels = part_labels(Path(ground.pixels.train_file), JUDGE)
    found, answers, curves = _bagged(ground, executor), {}, {}
    for (learner, kind), own in found.items():
        name = f"{learner}, {kind}"
        answers[name] = [
            np.mean(own[SIZE * repeat : SIZE * (repeat + 1)], axis=0) for repeat in range(REPEATS)
        ]
        curves[name] = [_right(np.mean(own[:size], axis=0), labels) for size in range(1, SIZE + 1)]
        if kind == AVERAGE:
            answers[f"{learner}, {ALONE}"] = own[::SIZE]
    drawn = np.random.default_rng(0).choice(ground.num_train, ground.num_train)
    held = len(np.unique(drawn)) / ground.num_train
    said = f"a bag is drawn with replacement: {held:.1%} of the images are in the first one"
    return Shown(
        lines=[*_lines(answers, BAGGING_CLAIMS, labels), "", said], draw=_drawn(BAGGING, curves)
    )


def _bagged(ground: Ground, executor: Executor) -> dict[tuple[str, str], list[Probabilities]]:
    """Returns what the networks answer that are trained on all images, and those of bags."""
    wanted: list[tuple[TrialSpec, TrialData]] = []
    names = [(learner, kind) for learner in LEARNERS for kind in (AVERAGE, BAG)]
    for learner, kind in names:
        for number in range(SIZE * REPEATS):
            spec = _spec(f"{learner}, {kind}, {number}", LEARNERS[learner], ground, seed=number)
            bag = DrawnImages(whole=ground.pixels, seed=number)
            wanted.append((spec, ground.pixels if kind == AVERAGE else bag))
    trained = [_answers(one.result.model_file) for one in train_all(wanted, executor).values()]
    count = SIZE * REPEATS
    return {name: trained[count * place :][:count] for place, name in enumerate(names)}


def _boosting(ground: Ground, executor: Executor) -> Shown:
    labels = part_labels(Path(ground.pixels.train_file), JUDGE)
    lanes = _boosted(ground, executor, num_judging=len(labels))
    answers, curves = {}, {}
    for learner in LEARNERS:
        for rule in RULES:
            runs, name = [lanes[learner, rule, repeat] for repeat in range(REPEATS)], learner
            answers[f"{name}, {rule}"] = [_voted(one, rule, len(one.answers)) for one in runs]
            fewest = min(len(one.answers) for one in runs)
            curves[f"{name}, {rule}"] = [
                fmean(_right(_voted(one, rule, size), labels) for one in runs)
                for size in range(1, fewest + 1)
            ]
        first = [lanes[learner, BOOSTED, repeat].answers[0] for repeat in range(REPEATS)]
        answers[f"{learner}, {ALONE}"] = first
    votes = ", ".join(f"{one.vote:.2f}" for one in lanes["weak", BOOSTED, 0].rounds)
    said = f"votes of the first weak run: {votes}"
    return Shown(
        lines=[*_lines(answers, BOOSTING_CLAIMS, labels), "", said], draw=_drawn(BOOSTING, curves)
    )


def _boosted(
    ground: Ground, executor: Executor, *, num_judging: int
) -> dict[tuple[str, str, int], Boosting]:
    """Returns the runs by learner, rule and number; all take a round beside each other."""
    own = part_labels(Path(ground.pixels.train_file), "train")
    names = [(learner, rule, n) for learner in LEARNERS for rule in RULES for n in range(REPEATS)]
    lanes = {name: Boosting(own, RULES[name[1]]) for name in names}
    for number in range(max(2, round(NUM_ROUNDS * ground.epochs_factor))):
        going_on = {name: one for name, one in lanes.items() if not one.is_over}
        wanted: list[tuple[TrialSpec, TrialData]] = []
        for (learner, rule, repeat), one in going_on.items():
            seed = 1000 * repeat + number
            uid = f"{learner}, {rule}, {repeat}, {number}"
            data = DrawnImages(
                whole=ground.pixels, seed=seed, weights=one.weights.tolist(), judges_all=True
            )
            wanted.append((_spec(uid, LEARNERS[learner], ground, seed=seed), data))
        trained = train_all(wanted, executor).values()
        for run, training in zip(going_on.values(), trained, strict=True):
            found = _answers(training.result.model_file)
            run.add(found[num_judging:], found[:num_judging])
    return lanes


def _spec(uid: str, changes: Mapping[str, Value], ground: Ground, *, seed: int) -> TrialSpec:
    return TrialSpec(
        uid=uid,
        hyperparameters=hyperparameters({**PLAIN, "cut": "pixels", **changes}, ground.defaults),
        seed=seed,
        epochs=ground.epochs(EPOCHS),
        judge=JUDGE,
        model_file=str(ground.folder / f"{uid}.keras"),
    )


def _answers(model_file: str | None) -> Probabilities:
    if model_file is None:
        raise ValueError("A network of the defaults must not diverge.")
    return np.asarray(np.load(answers_file(model_file)), dtype=np.float64)


def _voted(run: Boosting, rule: str, size: int) -> Probabilities:
    if rule == BOOSTED_R:
        return sum_of_logs(run.answers[:size])
    return vote_of(run.answers[:size], [one.vote for one in run.rounds[:size]])


def _right(answers: Probabilities, labels: Labels) -> float:
    return float((answers.argmax(axis=1) == labels).mean())


def _lines(
    answers: Mapping[str, Sequence[Probabilities]], claims: Sequence[Claim], labels: Labels
) -> list[str]:
    from pipeline.evaluation.effects import contrasts

    effects = contrasts(
        {name: [one.astype(np.float32) for one in own] for name, own in answers.items()},
        [claim.weights for claim in claims],
        labels,
        METRIC,
        is_larger_better=True,
    )
    judged = [Judged(claim=c, effect=e) for c, e in zip(claims, effects, strict=True)]
    rows = [["networks", f"right, mean of {REPEATS}"]]
    rows += [
        [name, f"{100 * fmean(_right(one, labels) for one in own):.1f}%"]
        for name, own in answers.items()
    ]
    said = [["the lecture says", "effect, points", "answer"]]
    said += [[one.claim.text, points(one), one.answer] for one in judged]
    return [*table(rows), "", *table(said)]


def _drawn(of: Demonstration, curves: Mapping[str, Sequence[float]]) -> Callable[[Path], None]:
    by_size = {
        name: {float(size): 100 * value for size, value in enumerate(own, start=1)}
        for name, own in curves.items()
    }
    return curves_of(of.title, by_size, x_label="networks that vote")


BAGGING: Final = Demonstration(
    name="bagging",
    heading="Bagging and model averaging",
    question="What do several networks gain that vote, and how do the two differ?",
    show=_bagging,
)
BOOSTING: Final = Demonstration(
    name="boosting",
    heading="Boosting",
    question="What do networks gain that are trained on what others get wrong?",
    show=_boosting,
)
