"""What docs/data.md says of the hostile cases."""

import re
from pathlib import Path

from hostile_registry import all_cases

PAGE = Path(__file__).parents[3] / "docs" / "data.md"


def test_page_gives_the_number_of_cases():
    (count,) = re.findall(r"^(\d+) named hostile or broken folders", PAGE.read_text(), re.MULTILINE)
    assert int(count) == len(all_cases())
