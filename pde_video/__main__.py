"""``python -m pde_video``."""

from pde_video.cli import main

main()
