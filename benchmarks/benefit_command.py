"""What the scripts of the benefit test share: one plan, to which a caller's options are added."""

from collections.abc import Sequence
from pathlib import Path

LEDGERS = Path(__file__).parent / "ledger"
OPTIONS = {
    "--model": "efficientnet_lite0",
    "--amount": "0.25",
    "--schedule": "mixed",
}
"""Each stands unless the same option is given."""
SETTINGS = (
    "training.tile_size=128",
    "overlap=32",
    "training.total_images=3840",
    'training.precision="fp32"',
    'training.channels_last="yes"',
)
SYNTHESIZER_SETTINGS = ("training.total_images=800",)


def benefit_words(
    data: Path, out: Path, ledger: str, more: Sequence[str], settings: Sequence[str] = ()
) -> list[str]:
    """Return the words of ``flawsmith benefit`` with the plan.

    Args:
        data: the data set.
        out: folder of the test.
        ledger: name of its file in benchmarks/ledger.
        more: the caller's options.
        settings: of the inspection models, besides those of the plan.
    """
    words = ["benefit", str(data), "--out", str(out)]
    words += [] if "--ledger" in more else ["--ledger", str(LEDGERS / ledger)]
    for option, value in OPTIONS.items():
        words += [] if option in more else [option, value]
    words += [text for setting in (*SETTINGS, *settings) for text in ("--set", setting)]
    words += [text for s in SYNTHESIZER_SETTINGS for text in ("--synthesizer-set", s)]
    return [*words, *more]  # last, so that a caller's settings win


def cut_at_dashes(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a script's own words, and those after ``--``."""
    cut = words.index("--") if "--" in words else len(words)
    return list(words[:cut]), list(words[cut + 1 :])
