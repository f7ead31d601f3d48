"""Motion between frames: optical flow, warps, averages along it."""
