"""The section `embed` refuses what cannot be embedded, without Keras."""

import pytest

from pipeline.config import parse_section
from pipeline.errors import ConfigError
from pipeline.models.params import EmbedParams

LITE0 = {"image_size": 64, "cuts": "auto"}


def parse(**changes):
    section = {"bases": {"efficientnet_lite0": LITE0}, "batch_size": 256, "max_bytes": 10**9}
    return parse_section(EmbedParams, "embed", {**section, **changes})


def test_the_projects_own_section_is_fine(params_document):
    params = parse_section(EmbedParams, "embed", params_document["embed"])
    assert "efficientnet_lite0" in params.bases


def test_no_base_is_allowed():
    assert parse(bases={}).bases == {}


def test_cuts_may_be_named():
    bases = {"efficientnet_lite0": {**LITE0, "cuts": ["block4_add"]}}
    assert parse(bases=bases).bases["efficientnet_lite0"].cuts == ["block4_add"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bases": {"efficientnet_lite": LITE0}}, "Did you mean 'efficientnet_lite0'"),
        ({"bases": {"none": LITE0}}, "Unknown base: 'none'"),
        ({"bases": {"xception": LITE0}}, "71 pixels or more. Received: image_size=64"),
        ({"bases": {"efficientnet_lite0": {**LITE0, "cuts": []}}}, "at least one"),
        ({"bases": {"efficientnet_lite0": {**LITE0, "cuts": ["a", "a"]}}}, "different layers"),
        ({"bases": {"efficientnet_lite0": {**LITE0, "size": 3}}}, "no such key"),
        ({"batch_size": 0}, "embed.batch_size: .* greater than or equal to 1. Received: 0"),
        ({"max_bytes": "1 GB"}, "embed.max_bytes: .* valid integer. Received: '1 GB'"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        parse(**changes)


def test_every_base_that_is_wrong_is_named():
    with pytest.raises(ConfigError, match=r"Unknown base: 'one'.*Unknown base: 'two'"):
        parse(bases={"one": LITE0, "two": LITE0})
