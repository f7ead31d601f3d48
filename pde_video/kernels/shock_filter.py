"""Second derivatives along a direction, and the upwind gradient of dilation and erosion."""

import math

import numpy as np

from pde_video.kernels.jit import kernel

_ZERO, _HALF = np.float32(0), np.float32(0.5)  # Python literals would widen single precision.


@kernel
def second_along(v, w, inverse_h, out):
    """out = Σ_ab w_a w_b ∂²v/∂x_a∂x_b by central differences, with edges replicated.

    The directions `w` (3, *volume) and the steps 1/h belong to the three axes of the volume.
    """
    channels, n0, n1, n2 = v.shape
    for k in range(n0):
        a, b = max(k - 1, 0), min(k + 1, n0 - 1)
        for i in range(n1):
            p, q = max(i - 1, 0), min(i + 1, n1 - 1)
            for j in range(n2):
                r, s = max(j - 1, 0), min(j + 1, n2 - 1)
                x, y, z = w[0, k, i, j] * inverse_h[0], w[1, k, i, j] * inverse_h[1], w[2, k, i, j] * inverse_h[2]
                for c in range(channels):
                    u = v[c]
                    here = u[k, i, j] + u[k, i, j]
                    total = x * x * (u[a, i, j] + u[b, i, j] - here)
                    total += y * y * (u[k, p, j] + u[k, q, j] - here)
                    total += z * z * (u[k, i, r] + u[k, i, s] - here)
                    mixed = y * z * ((u[k, q, s] + u[k, p, r]) - (u[k, q, r] + u[k, p, s]))
                    mixed += x * z * ((u[b, i, s] + u[a, i, r]) - (u[b, i, r] + u[a, i, s]))
                    mixed += x * y * ((u[b, q, j] + u[a, p, j]) - (u[b, p, j] + u[a, q, j]))
                    out[c, k, i, j] = total + _HALF * mixed


@kernel
def shock(u, curvature, inverse_h, out):
    """out = −sign(curvature) |∇u|, with the steeper of the two upwind differences along each axis."""
    channels, n0, n1, n2 = u.shape
    for c in range(channels):
        for k in range(n0):
            a, b = max(k - 1, 0), min(k + 1, n0 - 1)
            for i in range(n1):
                p, q = max(i - 1, 0), min(i + 1, n1 - 1)
                for j in range(n2):
                    r, s = max(j - 1, 0), min(j + 1, n2 - 1)
                    sign = np.sign(-curvature[c, k, i, j])
                    here = u[c, k, i, j]
                    x = inverse_h[0] * max(sign * (u[c, a, i, j] - here), sign * (u[c, b, i, j] - here), _ZERO)
                    y = inverse_h[1] * max(sign * (u[c, k, p, j] - here), sign * (u[c, k, q, j] - here), _ZERO)
                    z = inverse_h[2] * max(sign * (u[c, k, i, r] - here), sign * (u[c, k, i, s] - here), _ZERO)
                    out[c, k, i, j] = sign * math.sqrt(x * x + y * y + z * z)
