"""ELPV as its Python package lays it out: code beside ``data/labels.csv`` and ``data/images``."""

import pytest


@pytest.mark.parametrize("start", ["site-packages/elpv_dataset", "site-packages/elpv_dataset/data"])
def test_the_installed_package_is_recognised(source, put, picture, imported, start):
    package = source / "site-packages/elpv_dataset"
    for i in range(4):
        put(package / f"data/images/cell{i:04d}.png", picture(i))
    for name in ("__init__.py", "__about__.py", "utils.py"):
        (package / name).write_text("")
    (package / "data/labels.csv").write_text(
        "images/cell0000.png  1.0                 mono\n"
        "images/cell0001.png  0.0                 poly\n"
        "images/cell0002.png  0.6666666666666666  mono\n"
        "images/cell0003.png  0.3333333333333333  poly\n"
    )
    done = imported(source / start)
    assert done.report.format == "elpv"
    assert (done.report.images, done.report.good, done.report.excluded) == (4, 1, 2)
    home = "" if start.endswith("data") else "data/"
    assert done.records[f"{home}images/cell0000.png"].weak_labels == ["defective"]
    assert done.kinds() == ["uncertain label"]
