"""Training procedures, one file per paper, filed in `SYSTEMS`."""

from importlib import import_module

from flawsmith.systems.base import SYSTEMS

for _name in (
    "bagan_gp",
    "copy_paste",
    "crack_gan",
    "cyclegan",
    "dbs_gan",
    "dbs_gan_real",
    "dbs_gan_exemplar",
    "dcgan",
    "defect_gan",
    "perlin_noise",
    "stargan",
    "stylegan2",
):
    import_module(f"flawsmith.systems.{_name}")

__all__ = ["SYSTEMS"]
