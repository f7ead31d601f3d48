"""What a state at rest costs, beside other solvers: ``python -m benchmarks.equilibrium [--size N] [--repeats N]``.

The harmonic function through known pixels of a smooth picture with noise, in single precision, to a residual of 1e-3:
random masks, and a hole of six tenths of each side. Peers, where they are installed (extra `bench`): pyamg's
Ruge-Stüben hierarchy with conjugate gradients, to the same tolerance of its own residual; scipy's direct solver and
scikit-image's biharmonic filling, on smaller pictures. The error is that of the pixels filled, relative to the standard
deviation of the picture, against the solution to 1e-10 in double precision.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy.sparse as sp

import pde_video as pv
from benchmarks import measuring
from pde_video.bench.tables import table


def picture(n: int) -> Any:
    y, x = np.mgrid[:n, :n]
    smooth = np.sin(x / 40) * np.cos(y / 30)
    return (smooth + np.random.default_rng(2).normal(0, 0.1, (n, n))).astype(np.float32)


def masks(n: int) -> dict[str, Any]:
    random = np.random.default_rng(1).random((n, n))
    hole = np.ones((n, n), bool)
    hole[n // 5 : -(n // 5), n // 5 : -(n // 5)] = False
    return {**{f"{100 * share:g} % known": random < share for share in (0.001, 0.01, 0.04, 0.5)}, "a hole": hole}


def ours(values: Any, known: Any, tolerance: float = 1e-3, report: Any = None) -> Any:
    return pv.equilibrium(pv.Masked(pv.Heat(), ~known, values), values, tolerance=tolerance, report=report)


def system(values: Any, known: Any) -> tuple[Any, Any, Any]:
    """Return the matrix and the right-hand side of the unknown pixels, and where these are."""
    line = sp.diags_array([np.ones(len(values) - 1)], offsets=[1])
    line = sp.diags_array((line + line.T).sum(axis=1)) - line - line.T
    same = sp.eye_array(len(values))
    matrix = (sp.kron(line, same) + sp.kron(same, line)).tocsr()
    unknown = ~known.ravel()
    rows = matrix[unknown]
    return rows[:, unknown], -(rows[:, ~unknown] @ values.ravel()[~unknown].astype(float)), unknown


def filled(values: Any, unknown: Any, found: Any) -> Any:
    out = values.astype(float).ravel()
    out[unknown] = found
    return out.reshape(values.shape)


def by_pyamg(values: Any, known: Any) -> Any:
    import pyamg

    matrix, right, unknown = system(values, known)
    return filled(values, unknown, pyamg.ruge_stuben_solver(matrix).solve(right, tol=1e-3, accel="cg"))


def by_scipy(values: Any, known: Any) -> Any:
    matrix, right, unknown = system(values, known)
    return filled(values, unknown, sp.linalg.spsolve(matrix.tocsc(), right))


def by_scikit_image(values: Any, known: Any) -> Any:
    from skimage.restoration import inpaint_biharmonic

    return inpaint_biharmonic(values.astype(float), ~known)


PEERS: dict[str, tuple[Callable[..., Any], int | None]] = {  # Slow ones get a picture of so many pixels a side.
    "pyamg, CG": (by_pyamg, None),
    "scipy, direct": (by_scipy, 256),
    "scikit-image, biharmonic": (by_scikit_image, 128),
}


PACKAGES = {"pyamg": "pyamg", "scipy": "scipy", "scikit-image": "skimage"}


def main() -> None:
    parser = argparse.ArgumentParser(description="What a state at rest costs, beside other solvers.")
    parser.add_argument("--size", type=int, default=1024, metavar="N", help="pixels of each side (default 1024)")
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="rounds (default 7)")
    parser.add_argument("--alone", action="store_true", help="without the peers")
    arguments = parser.parse_args()
    n, rows = arguments.size, []
    values = picture(n)
    for name, known in masks(n).items():
        exact = ours(values.astype(float), known, 1e-10)
        report: dict[str, Any] = {}
        runs: dict[str, Callable[[], Any]] = {"equilibrium": partial(ours, values, known, report=report)}
        for peer, (run, size) in PEERS.items() if not arguments.alone else ():
            if find_spec(PACKAGES[peer.split(",")[0]]) is None:
                print(f"{peer}: not installed")
                continue
            name_of_peer = peer if size is None else f"{peer}, {size} × {size} pixels"
            runs[name_of_peer] = partial(run, picture(size or n), masks(size or n)[name])
        found = {"equilibrium": runs["equilibrium"]()}
        times, _ = measuring.interleaved({"equilibrium": runs.pop("equilibrium")}, arguments.repeats)
        slow, _ = measuring.interleaved(runs, 1)
        for peer, seconds in {**times, **slow}.items():
            shown = iterations = ""
            if peer in found:
                error = float(np.sqrt(np.mean((found[peer] - exact)[~known] ** 2))) / float(values.std())
                shown, iterations = f"{error:.1e}", str(report["iterations"])
            rows.append([name, peer, f"{1e3 * min(seconds):.0f}", iterations, shown])
            print(*rows[-1], sep=" | ", flush=True)
    print()
    print(measuring.machine("numba", "scipy"))
    print(table(["known", "solver", "ms", "iterations", "error"], rows))


if __name__ == "__main__":
    main()
