"""The figures of docs/numerics.md: measured orders, errors of factors, and what the stream costs in memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from scipy.linalg import expm
from scipy.ndimage import map_coordinates

import pde_video as pv

BOUNDARIES = ("neumann", "periodic", "dirichlet")


def matrix_of(term: pv.Term, shape: tuple[int, ...]) -> np.ndarray:
    """The linear operator of a term, column by column."""
    n = int(np.prod(shape))
    return np.stack([term.rate(0.0, unit.reshape(1, *shape)).ravel() for unit in np.eye(n)], axis=1)


def order(step: pv.Step) -> float:
    """Slope of the error at t = 0.5 over dt, against the exponential of the matrix."""
    u, counts = np.random.default_rng(20).normal(size=(6, 5)), np.array([16, 32, 64, 128])
    exact = expm(0.5 * matrix_of(pv.Heat(), (6, 5))) @ u.ravel()
    results = (pv.evolve(pv.Heat(), u, pv.uniform(0.5, steps=n), step=step) for n in counts)
    errors = [np.abs(result.ravel() - exact).max() for result in results]
    return float(-np.polyfit(np.log(counts), np.log(errors), 1)[0])


def residual_of_implicit(boundary: str) -> float:
    u = np.random.default_rng(20).normal(size=(6, 7, 5))
    heat = pv.Heat(boundary=boundary)
    z = pv.evolve(heat, u, [0, 30.0], step=pv.implicit_euler)
    return float(np.abs(z - 30.0 * heat.rate(0.0, z[None])[0] - u).max())


def box_error(step: pv.Step, n: int) -> float:
    impulse, box = np.zeros(101), np.zeros(101)
    impulse[50], box[50 - n : 51 + n] = 1.0, 1 / (2 * n + 1)
    return float(np.abs(pv.evolve(pv.Heat(), impulse, [0, n * (n + 1) / 6], step=step) - box).max())


def space_order() -> float:
    errors, sizes = [], [32, 64, 128, 256]
    for n in sizes:
        x = (np.arange(n) + 0.5) / n
        rate = pv.Heat(spacing=1 / n, boundary="periodic").rate(0.0, np.sin(2 * np.pi * x)[None])[0]
        errors.append(np.abs(rate + 4 * np.pi**2 * np.sin(2 * np.pi * x)).max())
    return float(-np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def ring_deviation(term: pv.Term, t: float) -> float:
    """Largest deviation of an evolved ring of contrast 1 from its mean along a circle."""
    x = np.arange(101) - 50.0
    picture = pv.evolve(term, np.exp(-((np.hypot(*np.meshgrid(x, x)) - 25) ** 2) / (2 * 4**2)), pv.uniform(t))
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    at = ([50 + r * np.sin(angle), 50 + r * np.cos(angle)] for r in np.arange(2, 46, 0.5))
    circles = [map_coordinates(picture, points, order=3) for points in at]
    return max(float(np.abs(circle - circle.mean()).max()) for circle in circles)


def peak_memory(frames: int) -> int:
    """Peak memory in MB of a space-time stream of so many frames, in a process of its own."""
    code = (
        "import numpy as np, pde_video as pv, resource\n"
        f"video = (np.full((120, 160), k % 7, np.float32) for k in range({frames}))\n"
        "for _ in pv.spacetime(pv.PeronaMalik(0.1), pv.uniform(1.0), cuts=[])(video): pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    print("| figure | measured |\n|---|---|")
    for step in (pv.explicit_euler, pv.implicit_euler, pv.aos, pv.crank_nicolson, pv.heun, pv.rkl2):
        print(f"| order in time, `{step.__name__}` | {order(step):.2f} |")
    print(f"| order in space, second difference | {space_order():.2f} |")
    for boundary in BOUNDARIES:
        print(f"| residual of an implicit step of 30, {boundary} | {residual_of_implicit(boundary):.0e} |")
    for step in (pv.fed, pv.fsi):
        worst = max(box_error(step, n) for n in (5, 10, 20))
        print(f"| one cycle of `{step.__name__}` against the box filter, n = 5, 10, 20 | {worst:.0e} |")
    for name in ("rational", "charbonnier", "weickert"):
        terms = [pv.EdgeEnhancing(kappa, conductance=name) for kappa in (0.02, 0.05, 0.1)]
        worst = max(ring_deviation(term, t) for term in terms for t in (5.0, 20.0))
        print(f"| a ring stays a ring: EED, {name}, worst of κ = 0.02, 0.05, 0.1 and t = 5, 20 | {100 * worst:.1f} % |")
    memory = [peak_memory(frames) for frames in (100, 1000)]
    print(f"| peak memory of `spacetime`, 100 and 1,000 frames of 120 × 160 | {memory[0]} and {memory[1]} MB |")


if __name__ == "__main__":
    main()
