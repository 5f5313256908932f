"""Every comparison can be trained as it is written, and is about what it trains."""

import pytest

from pipeline.errors import ConfigError
from pipeline.lectures.compare import RATE, hyperparameters
from pipeline.lectures.comparisons import COMPARISONS


@pytest.fixture(params=COMPARISONS.values(), ids=COMPARISONS)
def comparison(request):
    return request.param


def test_every_variant_is_legal_and_says_nothing_that_does_nothing(comparison, params_document):
    rate = {RATE: comparison.rates[0]} if comparison.rates else {}
    for variant in comparison.variants.values():
        own = {"cut": "pixels", **comparison.common, **variant.changes, **rate}
        assert own.items() <= hyperparameters(own, params_document["defaults"]).items()


def test_no_two_variants_are_the_same(comparison):
    own = [(v.base, v.num_images, tuple(v.changes.items())) for v in comparison.variants.values()]
    assert len(set(own)) == len(own) > 1


def test_a_claim_is_a_difference_of_what_is_trained(comparison):
    assert comparison.claims
    for claim in comparison.claims:
        assert claim.weights.keys() <= comparison.variants.keys()
        assert sum(claim.weights.values()) == 0


def test_what_does_nothing_beside_the_others_is_refused(params_document):
    with pytest.raises(
        ConfigError, match="A lecture sets negative_slope, which does nothing beside"
    ):
        hyperparameters({"activation": "relu", "negative_slope": 0.2}, params_document["defaults"])
