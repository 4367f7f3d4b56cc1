"""What makes an answer doubtful is said; what cannot be right is an error."""

import datetime

import numpy as np
import pytest

from flawsmith.errors import FlawsmithError
from flawsmith.inspection.runtime import Runtime

from .test_runtime import surface


def test_expired_calibration_is_a_warning(make_model, strip_schema, strip_calibration):
    record = strip_calibration(valid_until=datetime.date(2021, 1, 1))
    exported = make_model(
        calibration=record, defect_schema=strip_schema(pixel_size_mm=record.mm_per_pixel)
    )
    findings = Runtime(exported, threads=1).inspect(surface(64, 64))
    assert "valid until 2021-01-01" in findings.warnings[0]
    assert findings.regions[0].length_mm is not None
    assert findings.regions[0].length_mm_u95 is not None


def test_a_clock_before_the_calibration_is_a_warning(make_model, strip_schema, strip_calibration):
    record = strip_calibration().model_copy(update={"date": datetime.date(2998, 1, 1)})
    size = strip_schema(pixel_size_mm=record.mm_per_pixel)
    exported = make_model(calibration=record, defect_schema=size)
    (warning,) = Runtime(exported, threads=1).inspect(surface(64, 64)).warnings
    assert "the calibration is of 2998-01-01, and this machine's clock says" in warning


def test_12_bits_at_the_upper_end_are_an_error(make_model, strip_schema):
    exported = make_model(defect_schema=strip_schema(bit_depth=12, white_level=4095))
    image = surface(150, 200, dtype=np.uint16, white=4095)
    with pytest.raises(FlawsmithError, match="images of 12 bits end at 4095"):
        Runtime(exported, threads=1).inspect(image << 4)
