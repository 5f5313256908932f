"""A study and its champion, from a notebook.

Run in a checkout after `dvc repro`, as a script or cell by cell (VS Code and Jupytext know the
`# %%`): `python docs/explore.py`.
"""

# %%
from pathlib import Path

import numpy as np

from pipeline import load_champion, load_study, trials_frame

# %% [markdown]
# ## The trials as a table

# %%
study = load_study("transfer")
trials = trials_frame(study)
print(f"{study.study_name}: {len(trials)} trials, {study.objective} is to {study.direction}")
columns = ["number", "rung", "value", "cut", "units", "learning_rate", "seconds"]
print(trials.sort_values("value", ascending=False)[columns].head().to_string(index=False))

# %% [markdown]
# What went on from each rung, and how the configurations of the lowest one did by activation. All
# trials of a rung were trained alike, so they can be compared.

# %%
promoted = set(trials["promoted_from"].dropna().astype(int))
by_rung = trials.groupby(trials["rung"].fillna(0).astype(int))
print(by_rung["number"].agg(trials="count", went_on=lambda numbers: numbers.isin(promoted).sum()))
lowest = trials[trials["rung"].fillna(0) == 0]
print(lowest.groupby("activation")["value"].agg(["count", "median"]).round(4))

# %% [markdown]
# ## The champion
#
# It takes pixels as they are stored, or files: `champion([Path("shirt.png")])`.

# %%
champion = load_champion()
with np.load(Path("data/train.npz")) as archive:
    rows = archive["confirmation"][:5]
    images, labels = archive["images"][rows], archive["labels"][rows]
for answer, label in zip(champion(images), labels, strict=True):
    name = champion.class_names[label]
    print(f"{answer.likeliest} ({answer.probabilities[answer.likeliest]:.3f}), labelled {name}")
