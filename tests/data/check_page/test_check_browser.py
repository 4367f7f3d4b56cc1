"""The page in a real browser: pictures decode, nothing overflows, both colour schemes."""

import re

import pytest
from PIL import Image

from flawsmith.data.check_report import Finding

MEASURE = """<script>
addEventListener("load", () => {
  const page = document.documentElement;
  page.dataset.pictures = [...document.images].filter((image) => image.naturalWidth > 1).length;
  page.dataset.overflow = page.scrollWidth - page.clientWidth;
  page.dataset.folded = [...document.querySelectorAll(".names li")].filter((item) =>
    !item.checkVisibility()).length;
});
</script>"""


@pytest.fixture
def page(pouch, build):
    names = [record.file_name for record in pouch]
    found = [
        Finding(kind="views_in_two_parts", file=name, message="m" * 300, others=names[:1])
        for name in names
    ]
    long = Finding(kind="similar_class_names", file="", message="x" * 400)
    return build(pouch, *found, long)


@pytest.mark.parametrize("width", [500, 1366])
def test_pictures_decode_and_nothing_overflows(page, chromium, width):
    measured = page.path.with_name("measured.html")
    source = page.source.replace("</body>", f"{MEASURE}</body>")
    measured.write_text(source.replace('loading="lazy"', ""), "utf-8")
    dom = chromium(measured, f"--window-size={width},900", "--dump-dom")
    values = dict(re.findall(r'data-(\w+)="([-\d]+)"', dom.split(">", 2)[1]))
    pictures = sum(tag == "img" for tag, _ in page.tags)
    assert values == {"pictures": str(pictures), "overflow": "0", "folded": "5"}


@pytest.mark.parametrize(("scheme", "colour"), [(0, (21, 24, 28)), (1, (255, 255, 255))])
def test_page_follows_the_colour_scheme(page, chromium, tmp_path, scheme, colour):
    shot = tmp_path / "shot.png"
    setting = f"--blink-settings=preferredColorScheme={scheme}"
    chromium(page.path, setting, "--window-size=1366,900", f"--screenshot={shot}")
    with Image.open(shot) as picture:
        assert picture.convert("RGB").getpixel((3, 450)) == colour


def test_page_prints_without_folded_lists(page, chromium, tmp_path):
    out = tmp_path / "page.pdf"
    chromium(page.path, f"--print-to-pdf={out}", "--no-pdf-header-footer")
    data = out.read_bytes()
    assert data.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", data))
    assert 3 <= pages <= 40
