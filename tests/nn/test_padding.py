import numpy as np
import pytest
import torch

from flawsmith.nn.padding import Conv2dSame, ConvTranspose2dSame, same_padding


def naive_same(image: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """TensorFlow's definition, one output pixel at a time."""
    size, k = len(image), len(kernel)
    out = -(-size // stride)
    before = max((out - 1) * stride + k - size, 0) // 2
    result = np.zeros((out, out))
    for y in range(out):
        for x in range(out):
            for i in range(k):
                for j in range(k):
                    row, column = y * stride + i - before, x * stride + j - before
                    if 0 <= row < size and 0 <= column < size:
                        result[y, x] += image[row, column] * kernel[i, j]
    return result


@pytest.mark.parametrize(
    ("kernel", "stride", "expected"),
    [(4, 2, (1, 1)), (5, 2, (1, 2)), (4, 1, (1, 2)), (3, 2, (0, 1)), (1, 1, (0, 0))],
)
def test_same_padding_of_an_even_size_is_the_table_of_keras(kernel, stride, expected):
    assert same_padding(16, kernel, stride) == expected


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 1), (3, 2), (4, 2), (5, 2)])
def test_conv_same_equals_a_naive_loop(size, kernel, stride):
    layer = Conv2dSame(1, 1, kernel, stride).double()
    image = torch.randn(1, 1, size, size, dtype=torch.float64)
    expected = naive_same(image[0, 0].numpy(), layer.weight[0, 0].detach().numpy(), stride)
    result = layer(image)[0, 0].detach().numpy() - layer.bias.item()
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (4, 2), (5, 2), (4, 1), (2, 2)])
def test_transposed_conv_same_is_the_gradient_of_conv_same(kernel, stride):
    size = 6
    up = ConvTranspose2dSame(3, 2, kernel, stride, bias=False).double()
    down = Conv2dSame(2, 3, kernel, stride, bias=False).double()
    down.weight.data = up.weight.data
    small = torch.randn(1, 3, size, size, dtype=torch.float64)
    large = torch.zeros(1, 2, size * stride, size * stride, dtype=torch.float64, requires_grad=True)
    (adjoint,) = torch.autograd.grad(down(large), large, small)
    torch.testing.assert_close(up(small), adjoint)


def test_transposed_conv_refuses_a_kernel_with_gaps():
    with pytest.raises(ValueError, match="gaps at a stride of 4"):
        ConvTranspose2dSame(1, 1, 3, 4)
