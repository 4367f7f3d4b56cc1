"""The comparison of all systems on magnetic tiles: `compare_systems.py` with that data set.

python benchmarks/compare_magnetic_tile.py FOLDER_OF_MAGNETIC_TILE OUT --plan
python benchmarks/compare_magnetic_tile.py FOLDER_OF_MAGNETIC_TILE OUT --hours 8
"""

import sys

from compare_systems import main

if __name__ == "__main__":
    sys.argv.insert(1, "magnetic_tile")
    main()
