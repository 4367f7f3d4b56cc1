import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "flawsmith.inspection.blobs",
        "flawsmith.inspection.machine_vision",
        "flawsmith.inspection.novelty",
        "flawsmith.inspection.region_tracker",
        "flawsmith.inspection.regions",
        "flawsmith.inspection.thresholds",
        "flawsmith.inspection.tiling",
        "flawsmith.inspection.zones",
    ],
)
def test_module_runs_on_a_line_pc(module):
    # Neither torch nor what else only training installs.
    code = (
        f"import sys, {module}; print(sorted({{'torch', 'scipy', 'sklearn'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_testing_runs_without_torch():
    code = "import sys, flawsmith.metrics.testing; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
