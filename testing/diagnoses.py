"""Diagnoses that nobody made."""

from pipeline.trials.diagnosis import DiagnosisRecord, MoreDataRecord, RangeRecord


def made_range(value, low=None, high=None):
    return RangeRecord(
        value=value, low=value if low is None else low, high=value if high is None else high
    )


def made_more_data(probability, *, doubled=0.045, foretold=(0.04, 0.06)):
    return MoreDataRecord(
        error=made_range(0.05),
        doubled=made_range(doubled, doubled - 0.002, doubled + 0.002),
        gain=made_range(1 - doubled / 0.05),
        probability=probability,
        needed=RangeRecord(value=157_035.0, low=120_000.0, high=None),
        foretold=made_range(0.05, *foretold),
        found=0.05,
    )


def made_diagnosis(**told):
    known = {
        **{"study": "tiny", "objective": "val_accuracy", "base": "none", "number": 3},
        **{"hyperparameters": {"units": 64}, "part": "confirmation", "n": 5000},
        **{
            "num_images": 50_000,
            "num_sizes": 5,
            "num_seeds": 2,
            "error": 0.05,
            "low": 0.044,
            "high": 0.056,
        },
        **{"epoch_error": 0.01, "seconds": 90.0},
    }
    return DiagnosisRecord(**{**known, **told})
