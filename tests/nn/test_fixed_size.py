import pytest
import torch

from flawsmith.errors import FlawsmithError
from flawsmith.nn.fixed_size import require_size, size_of_base


def test_base_of_a_size_that_is_no_power_of_two():
    assert size_of_base(28, 2) == 7
    assert size_of_base(96, 4) == 6


def test_a_size_that_cannot_be_halved_is_told_with_the_multiple():
    with pytest.raises(FlawsmithError, match=r"30 px .* multiple of 4"):
        size_of_base(30, 2)


@pytest.mark.parametrize("shape", [(2, 1, 32, 48), (2, 1, 48, 32)])
def test_another_size_is_told(shape):
    require_size(torch.zeros(2, 1, 32, 32), 32)
    with pytest.raises(FlawsmithError, match=f"{shape[2]} x {shape[3]} .* 32 x 32 alone"):
        require_size(torch.zeros(shape), 32)
