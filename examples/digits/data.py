"""Make the copy of the `digits` images that the repository carries, from scikit-learn's.

pip install -r requirements-digits.txt
python examples/digits/data.py
"""

import numpy as np
from sklearn.datasets import load_digits

from ageha.sw.frontend.digits import FILE


def main() -> None:
    """Write pixels, uint8 [images, 64], and labels, uint8 [images]."""
    data = load_digits()
    np.savez_compressed(
        FILE, pixels=data.data.astype(np.uint8), labels=data.target.astype(np.uint8)
    )


if __name__ == "__main__":
    main()
