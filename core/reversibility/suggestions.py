"""Suggestions: how likely a task can be reversed, why, and where a person's judgement helps most.

A new user gets the prior of `reversibility.FEATURES`. Flags then teach a logistic regression, in which
the prior counts as much as `PRIOR_WORTH` flags: every task enters twice, as reversible and as not, with
the prior's probabilities as weights. How good it is, is measured on flags that it has not seen.
"""

import functools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from core.curation.flags import latest_flags
from core.curation.sources import list_sources
from core.curation.stored import load_stored, source_stamp
from core.plain_files import Stamp
from core.reversibility.features import FEATURES, PRIOR_INTERCEPT, features_of

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

PRIOR_WORTH = 30.0  # flags
FEWEST = 5  # flags of each value before the model learns from them, and before its quality is measured
MOST_REASONS = 3

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Suggestion:
    """How likely a task is reversible (0–1), with reasons in words, the weightiest first. The tasks of low
    `rank`, which are the least certain of their source, deserve a person's time first."""

    source: str
    task_id: str
    probability: float
    reasons: str
    rank: int


@dataclass(frozen=True)
class ReasonCount:
    """How often a reason was given for a flagged task, and how often the flag was what it spoke for."""

    reason: str
    given: int
    right: int


@dataclass(frozen=True)
class Quality:
    """How well suggestions agree with the flags: the area under the ROC curve of predictions for flags
    that the model had not seen (cross-validated), and of the prior alone. None below `FEWEST` flags
    of each value: then it is unknown. `reasons` are those of the same predictions, the commonest first."""

    flags: int
    yes: int
    no: int
    auc: float | None
    prior_auc: float | None
    reasons: tuple[ReasonCount, ...] = ()


@dataclass(frozen=True)
class Model:
    """A logistic model: the weight of each feature, and the intercept."""

    weights: Numbers
    intercept: float

    def probability(self, features: Numbers) -> Numbers:
        """The probability of being reversible, for rows of features."""
        return np.asarray(1 / (1 + np.exp(-(features @ self.weights + self.intercept))))


PRIOR = Model(np.array([feature.prior for feature in FEATURES]), PRIOR_INTERCEPT)


def source_features(root: Path, source: str) -> dict[str, Numbers]:
    """The features of all tasks of a source by id; kept until the source changes."""
    return _source_features(root, source, source_stamp(root, source))


@functools.lru_cache(maxsize=16)
def _source_features(root: Path, source: str, _stamps: tuple[Stamp, Stamp]) -> dict[str, Numbers]:
    return {task_id: features_of(task) for task_id, task in load_stored(root, source).items()}


def flagged_features(root: Path) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Features and values of all tasks flagged yes or no, in the order of sources and ids."""
    imported = {info.source for info in list_sources(root)}
    rows, values = [], []
    for mark in latest_flags(root):
        if mark["source"] not in imported or mark["value"] not in ("yes", "no"):
            continue
        features = source_features(root, mark["source"]).get(mark["task_id"])
        if features is not None:
            rows.append(features)
            values.append(mark["value"] == "yes")
    return np.array(rows).reshape(-1, len(FEATURES)), np.array(values, dtype=bool)


def _enough(values: npt.NDArray[np.bool_]) -> bool:
    return bool(min(values.sum(), (~values).sum()) >= FEWEST)


def fit(features: Numbers, values: npt.NDArray[np.bool_], everything: Numbers) -> Model:
    """The model that these flags make of the prior. `everything` holds the features of the tasks that
    stand for the prior; with too few flags it is the prior itself."""
    if not _enough(values):
        return PRIOR
    return _as_model(_fitted(features, values, everything))


def _with_prior(features: Numbers) -> Numbers:
    """The features and, as one more, the prior's log odds: to keep the prior is one weight of 1."""
    return np.column_stack([features, features @ PRIOR.weights + PRIOR.intercept])


def _fitted(features: Numbers, values: npt.NDArray[np.bool_], everything: Numbers) -> "LogisticRegression":
    from sklearn.linear_model import LogisticRegression

    believed = PRIOR.probability(everything)
    share = PRIOR_WORTH / len(everything)
    rows = _with_prior(np.concatenate([features, everything, everything]))
    labels = np.concatenate([values, np.ones(len(everything), bool), np.zeros(len(everything), bool)])
    weights = np.concatenate([np.ones(len(values)), share * believed, share * (1 - believed)])
    return LogisticRegression(C=1.0, max_iter=2000).fit(rows, labels, sample_weight=weights)


def _as_model(fitted: "LogisticRegression") -> Model:
    own, kept = fitted.coef_[0, :-1], fitted.coef_[0, -1]
    return Model(own + kept * PRIOR.weights, float(fitted.intercept_[0] + kept * PRIOR.intercept))


def quality(root: Path) -> Quality:
    """How well suggestions agree with the flags of this project, measured by cross-validation."""
    features, values = flagged_features(root)
    yes, no = int(values.sum()), int((~values).sum())
    if not _enough(values):
        return Quality(len(values), yes, no, None, None)
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    unseen = np.zeros(len(values))
    given: Counter[str] = Counter()
    right: Counter[str] = Counter()
    usual = features.mean(axis=0)
    folds = StratifiedKFold(FEWEST, shuffle=True, random_state=0)
    for learn, test in folds.split(features, values):
        model = _as_model(_fitted(features[learn], values[learn], features))
        unseen[test] = model.probability(features[test])
        for task in test:
            found = reasons(model, features[task], usual)
            given.update(found.words)
            right.update(found.words if found.for_yes == values[task] else ())
    prior = PRIOR.probability(features)
    return Quality(
        len(values), yes, no, float(roc_auc_score(values, unseen)), float(roc_auc_score(values, prior)),
        tuple(ReasonCount(reason, count, right[reason]) for reason, count in given.most_common()),
    )  # fmt: skip


def judge(root: Path, source: str) -> dict[str, Suggestion]:
    """A suggestion for every task of a source, by id, learned from all flags of the project."""
    known = source_features(root, source)
    everything = np.array(list(known.values())).reshape(-1, len(FEATURES))
    model = fit(*flagged_features(root), everything)
    usual = everything.mean(axis=0) if len(everything) else np.zeros(len(FEATURES))
    chances = model.probability(everything)
    ranks = np.argsort(np.argsort(abs(chances - 0.5), kind="stable"))
    return {
        task_id: Suggestion(source, task_id, float(chance), reasons(model, features, usual).text, int(rank))
        for (task_id, features), chance, rank in zip(known.items(), chances, ranks, strict=True)
    }


@dataclass(frozen=True)
class Reasons:
    """What speaks for a judgement, the weightiest first, and whether that is "yes"."""

    for_yes: bool
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """In one line."""
        return "; ".join(self.words) or "nothing speaks clearly for either"


def reasons(model: Model, features: Numbers, usual: Numbers) -> Reasons:
    """What moves this task most from a usual one towards its judgement, in words."""
    if features[0]:  # proof, whatever else speaks for it
        return Reasons(False, (f"impossible: {FEATURES[0].high}",))
    pull = model.weights * (features - usual)
    for_yes = bool(model.probability(features) >= 0.5)
    towards = 1 if for_yes else -1
    words = [
        _word(index, float(features[index]), float(usual[index]))
        for index in np.argsort(-towards * pull)
        if towards * pull[index] > 0.1
    ]
    return Reasons(for_yes, tuple([word for word in words if word][:MOST_REASONS]))


def _word(index: int, value: float, usual: float) -> str:
    """What a value says where it stands out from the usual one; nothing where it would not be true."""
    if value > max(usual, 0):
        return FEATURES[index].high
    return FEATURES[index].low if value < min(usual, 0) else ""


def suggest(root: Path, sources: list[str]) -> list[Suggestion]:
    """Suggestions for the tasks that nobody has flagged, the least certain first."""
    flagged = {(mark["source"], mark["task_id"]) for mark in latest_flags(root)}
    found = [one for source in sources for one in judge(root, source).values()]
    open_ones = [one for one in found if (one.source, one.task_id) not in flagged]
    return sorted(open_ones, key=lambda one: (abs(one.probability - 0.5), one.source, one.task_id))
