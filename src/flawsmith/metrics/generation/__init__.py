"""Figures of synthetic images on feature arrays (N x D): NumPy and SciPy, no network in them."""

from flawsmith.metrics.generation.arrays import FloatArray
from flawsmith.metrics.generation.diversity import mean_pairwise_distance
from flawsmith.metrics.generation.frechet import frechet_distance, frechet_from_moments
from flawsmith.metrics.generation.inception import inception_score
from flawsmith.metrics.generation.kernel import (
    KernelSums,
    kernel_distance,
    kernel_distance_of_subsets,
    polynomial_kernel,
)
from flawsmith.metrics.generation.memorisation import (
    Copies,
    CopyThreshold,
    Looks,
    best_correlation,
    copy_threshold,
    excess_probability,
    find_copies,
    nearest_distance,
    signatures,
)
from flawsmith.metrics.generation.neighbours import NeighbourFigures, neighbour_figures
from flawsmith.metrics.generation.reconstruction import psnr, ssim, ssim_map

__all__ = [
    "Copies",
    "CopyThreshold",
    "FloatArray",
    "KernelSums",
    "Looks",
    "NeighbourFigures",
    "best_correlation",
    "copy_threshold",
    "excess_probability",
    "find_copies",
    "frechet_distance",
    "frechet_from_moments",
    "inception_score",
    "kernel_distance",
    "kernel_distance_of_subsets",
    "mean_pairwise_distance",
    "nearest_distance",
    "neighbour_figures",
    "polynomial_kernel",
    "psnr",
    "signatures",
    "ssim",
    "ssim_map",
]
