"""The claims of the lectures that trainings can judge, by the name of the command line.

To add one: an entry in a table below. `python -m pipeline lecture` lists it, a test trains it in
seconds, and `benchmarks/lectures.py` judges it on whole data sets.
"""

from typing import Final

from pipeline.lectures.networks import NETWORKS
from pipeline.lectures.optimization import OPTIMIZATION
from pipeline.lectures.regularization import REGULARIZATION
from pipeline.lectures.transfer import TRANSFER

COMPARISONS: Final = {
    one.name: one for one in (*NETWORKS, *OPTIMIZATION, *REGULARIZATION, *TRANSFER)
}
