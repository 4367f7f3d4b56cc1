"""What the seed paper prints in its Tables 3 to 9: battery cells, other data than anybody's here.

Ku and Pahk, "battery exterior defect": classes A to F are theirs. Its FID are of whole frames at
128, 256 and 512 px, mixed (specification, 3.3); "accuracy" is not defined there (A26).
"""

from dataclasses import dataclass

MARK = "paper, other data"
CLASSES = ("A", "B", "C", "D", "E", "F")


@dataclass(frozen=True)
class Row:
    """One row of a printed table: its name there, our system if there is one, its cells."""

    name: str
    system: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Printed:
    """A table of the paper."""

    headings: tuple[str, ...]
    rows: tuple[Row, ...]


TABLES = {
    3: Printed(
        CLASSES,
        (
            Row("before", "", ("2,200", "200", "2,300", "4,600", "400", "300")),
            Row("after", "", ("10,000",) * 6),
        ),
    ),
    4: Printed(
        (*CLASSES, "mean (A28)"),
        (
            Row(
                "CycleGAN", "cyclegan", ("84.6", "200.1", "206.8", "100.6", "64.8", "63.8", "120.1")
            ),
            Row("StarGAN", "stargan", ("78.3", "151.5", "214.9", "105.7", "57.4", "59.4", "111.2")),
            Row(
                "StyleGAN", "stylegan2", ("69.4", "142.2", "178.8", "97.1", "58.1", "57.1", "100.5")
            ),
            Row(
                "Proposed GAN", "dbs_gan", ("66.4", "92.5", "121.3", "79.5", "55.4", "58.7", "79.0")
            ),
        ),
    ),
    5: Printed(
        ("model size (MB)", "training set", "min per epoch"),
        (
            Row("CycleGAN", "cyclegan", ("43.4", "2N", "38.4")),
            Row("StarGAN", "stargan", ("170.8", "N", "58.2")),
            Row("StyleGAN", "stylegan2", ("288.5", "N", "71.9")),
            Row("Proposed GAN", "dbs_gan", ("38.7", "N", "26.8")),
        ),
    ),
    6: Printed(
        ("mean IoU",),
        (
            Row("HarDNet", "real", ("0.5918",)),
            Row("HarDNet + CycleGAN", "cyclegan", ("0.6506",)),
            Row("HarDNet + StarGAN", "stargan", ("0.6753",)),
            Row("HarDNet + StyleGAN", "stylegan2", ("0.6819",)),
            Row("HarDNet + Proposed GAN", "dbs_gan", ("0.7061",)),
        ),
    ),
    7: Printed(
        (*CLASSES, "mean (A27)"),
        (
            Row(
                "Machine Vision",
                "machine_vision",
                ("0.2618", "0.2815", "0.3097", "0.2695", "0.3504", "0.3118", "0.2975"),
            ),
            Row(
                "HarDNet",
                "real",
                ("0.6862", "0.4916", "0.6924", "0.6948", "0.4917", "0.4941", "0.5918"),
            ),
            Row(
                "HarDNet + Proposed GAN",
                "dbs_gan",
                ("0.6948", "0.7211", "0.7119", "0.7043", "0.6925", "0.7121", "0.7061"),
            ),
        ),
    ),
    8: Printed(
        ("accuracy (%)", "IoU", "FID", "min per epoch"),
        (
            Row("HarDNet", "real", ("68.3", "0.5918", "-", "-")),
            Row("Defect-GAN", "defect_gan", ("91.6", "0.6887", "115.6", "22.9")),
            Row("Pavement Crack GAN", "crack_gan", ("85.9", "0.6408", "127.1", "18.3")),
            Row("Proposed GAN", "dbs_gan", ("96.1", "0.7061", "78.9", "26.8")),
        ),
    ),
    9: Printed(
        ("accuracy (%) before", "accuracy (%) after", "IoU before", "IoU after"),
        (
            Row("MVTec AD", "", ("92.4", "95.1", "0.6489", "0.7018")),
            Row("KolektorSDD2", "", ("73.7", "87.2", "0.5196", "0.6804")),
        ),
    ),
}
"""Means of classes are computed from the printed cells (A27, A28), the paper has none."""
