from pathlib import Path

import flawsmith
from flawsmith.experiment.source import _imported_by, code_hash, without_words
from flawsmith.models import NETWORKS
from flawsmith.systems import SYSTEMS

CODE = '''
"""What it is."""

LIMIT = 3
"""Why three."""


class Thing:
    """A thing."""

    def double(self, x):
        """Return twice x."""
        return 2 * x  # exact
'''


def test_words_do_not_count():
    bare = "LIMIT = 3\nclass Thing:\n    def double(self, x):\n        return 2 * x\n"
    assert without_words(CODE) == without_words(bare)


def test_arithmetic_counts():
    assert without_words(CODE) != without_words(CODE.replace("2 * x", "3 * x"))
    assert without_words(CODE) != without_words(CODE.replace("LIMIT = 3", "LIMIT = 4"))


def test_a_string_that_is_used_counts():
    assert without_words("x = 'a'") != without_words("x = 'b'")
    assert without_words("def f():\n    return 'a'") != without_words("def f():\n    return 'b'")


def test_an_entry_brings_what_it_imports_and_no_other():
    root = Path(flawsmith.__file__).parent
    names = {p.name for p in _imported_by(root, NETWORKS.get("efficientnet_lite0"))}
    assert names == {
        "efficientnet_lite0.py", "feature_pyramid.py", "blocks.py", "init.py", "padding.py",
    }  # fmt: skip
    names = {p.name for p in _imported_by(root, SYSTEMS.get("dbs_gan_exemplar"))}
    assert {"dbs_gan_exemplar.py", "surface_painting.py", "adversarial.py", "base.py"} <= names
    assert not {"copy_paste.py", "dbs_gan_real.py"} & names


def test_two_networks_of_one_file_differ():
    one, other = NETWORKS.get("fc_hardnet70"), NETWORKS.get("efficientnet_lite0")
    assert code_hash(("nn",), one) != code_hash(("nn",), other)
    assert code_hash(("nn",), NETWORKS.get("dbs_gan")) != code_hash(
        ("nn",), NETWORKS.get("dbs_gan_compact36")
    )
