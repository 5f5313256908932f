"""Votes of several networks: averaging, bagging and boosting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipeline.bases.table import NO_BASE
from pipeline.data.rows import part_labels, row_shape
from pipeline.lectures.compare import JUDGE, METRIC, hyperparameters
from pipeline.lectures.comparison import Claim, Judged
from pipeline.lectures.demonstration import Demonstration, Ground, Shown, table
from pipeline.lectures.figures import curves_of
from pipeline.lectures.variants import PLAIN, better, more
from pipeline.lectures.words import points
from pipeline.search.all_of_them import train_all
from pipeline.training.boosting import (
    Boosting,
    Rule,
    samme,
    samme_r,
    sum_of_logs,
    vote_in_keras,
    vote_of,
)
from pipeline.training.bootstrap import bootstrap
from pipeline.training.messages import TrialSpec, answers_file
from pipeline.training.weighted_images import WeightedImages

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
    data = ground.pixels.load_cut(ground.cuts[NO_BASE], judge=None).training
    held = len(np.unique(bootstrap(data, seed=0).train)) / ground.num_train
    said = f"a bag is drawn with replacement: {held:.1%} of the images are in the first one"
    judged = _judged(answers, BAGGING_CLAIMS, labels)
    return Shown(
        lines=[*_lines(answers, judged, labels), "", said],
        judged=judged,
        draw=_drawn(BAGGING, curves),
    )


def _bagged(ground: Ground, executor: Executor) -> dict[tuple[str, str], list[Probabilities]]:
    """Returns what the networks answer that are trained on all images, and those of bags."""
    wanted: list[tuple[TrialSpec, TrialData]] = []
    names = [(learner, kind) for learner in LEARNERS for kind in (AVERAGE, BAG)]
    for learner, kind in names:
        for number in range(SIZE * REPEATS):
            changes = {**LEARNERS[learner], "bootstrap": kind == BAG}
            spec = _spec(f"{learner}, {kind}, {number}", changes, ground, seed=number)
            wanted.append((spec, ground.pixels))
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
    judged = _judged(answers, BOOSTING_CLAIMS, labels)
    return Shown(
        lines=[*_lines(answers, judged, labels), "", said],
        judged=judged,
        draw=_drawn(BOOSTING, curves),
        write=partial(_write, ground=ground, run=lanes["weak", BOOSTED, 0]),
    )


def _write(path: Path, *, ground: Ground, run: Boosting) -> str:
    """Writes the learners of a weak run by SAMME as one model; returns what it reaches."""
    from pipeline.features.manifest import read_manifest
    from pipeline.training.answers import answers_on_part
    from pipeline.training.export import Member, export, load_exported

    file = Path(ground.pixels.train_file)
    labels = part_labels(file, JUDGE)
    networks = [
        ground.folder / f"{_uid('weak', BOOSTED, 0, n)}.keras" for n in range(len(run.rounds))
    ]
    export(
        path,
        [Member(trained=load_exported(one)) for one in networks],
        image_shape=row_shape(file, "images")[1:],
        image_size=read_manifest(Path(ground.pixels.features)).image_size,
        vote=vote_in_keras([one.vote for one in run.rounds]),
    )
    answers = answers_on_part(load_exported(path), file, JUDGE, num_images=len(labels))
    voted = _right(_voted(run, BOOSTED, len(run.answers)), labels)
    return (
        f"the first weak run as one model of images, {_right(answers, labels):.1%} right; "
        f"the votes of its networks, {voted:.1%}"
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
            uid = _uid(learner, rule, repeat, number)
            data = WeightedImages(whole=ground.pixels, weights=one.weights.tolist())
            wanted.append((_spec(uid, LEARNERS[learner], ground, seed=seed), data))
        trained = train_all(wanted, executor).values()
        for run, training in zip(going_on.values(), trained, strict=True):
            found = _answers(training.result.model_file)
            run.add(found[num_judging:], found[:num_judging])
    return lanes


def _uid(learner: str, rule: str, repeat: int, number: int) -> str:
    return f"{learner}, {rule}, {repeat}, {number}"


def _spec(uid: str, changes: Mapping[str, Value], ground: Ground, *, seed: int) -> TrialSpec:
    own = {**PLAIN, "cut": ground.cuts[NO_BASE], **changes}
    return TrialSpec(
        uid=uid,
        hyperparameters=hyperparameters(own, ground.defaults),
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


def _judged(
    answers: Mapping[str, Sequence[Probabilities]], claims: Sequence[Claim], labels: Labels
) -> list[Judged]:
    from pipeline.evaluation.effects import contrasts

    effects = contrasts(
        {name: [one.astype(np.float32) for one in own] for name, own in answers.items()},
        [claim.weights for claim in claims],
        labels,
        METRIC,
        is_larger_better=True,
    )
    return [Judged(claim=c, effect=e) for c, e in zip(claims, effects, strict=True)]


def _lines(
    answers: Mapping[str, Sequence[Probabilities]], judged: Sequence[Judged], labels: Labels
) -> list[str]:
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
