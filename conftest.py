"""What cannot be collected without PyTorch is left out, and said to be."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["pde_video/learn/[a-z]*.py"]


def pytest_terminal_summary(terminalreporter):
    """Add a line to the end of a run without PyTorch."""
    if collect_ignore_glob:
        terminalreporter.write_line("left out: the modules of pde_video/learn, which need the extra torch")
