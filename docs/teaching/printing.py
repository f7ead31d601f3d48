"""What a teaching page prints when it is run: its figures, a line each, and where its picture is."""

from pathlib import Path

import numpy as np


def lines(found, name=""):
    """Yield `name: value` for every figure, the names of nested ones joined; of a long array, its two ends."""
    if isinstance(found, dict):
        for key, value in found.items():
            joined = f"{name}, {key}" if isinstance(key, str) else f"{name} = {key:g}"
            yield from lines(value, joined if name else key)
    elif np.size(found) == 1:
        yield f"{name}: {found if isinstance(found, bool) else f'{np.squeeze(found):.6g}'}"
    elif np.ndim(found) == 1:
        values = [f"{value:.4g}" for value in found]
        yield f"{name}: {', '.join(values if len(values) <= 12 else [*values[:3], '...', *values[-3:]])}"


def run(main, script):
    """Run a page's `main` on the folder of pictures of this repository, and print what it found."""
    folder = Path(script).resolve().parents[1] / "pictures" / "teaching"
    print(*lines(main(folder)), sep="\n")
    print(f"picture: {folder / Path(script).stem}.png")
