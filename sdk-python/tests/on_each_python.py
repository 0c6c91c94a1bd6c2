"""Run the table of docs/propagation.md on every other Python of this machine, and print which ones it was run on.

Each gets an environment below the target directory, with the package's own dependencies in the versions that are
locked. The native module is that of the checkout: its ABI is the same for all of them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SDK = Path(__file__).resolve().parents[1]
TABLE = SDK / "tests" / "test_propagation.py"
TOOLS = ("pytest", "pytest-asyncio", "pytest-timeout")
OLDEST = (3, 11)
VERSION = "import sys; print('.'.join(map(str, sys.version_info[:3])))"


def main() -> int:
    """Return the number of Pythons on which the table does not hold."""
    own = sys.version_info[:2]
    others = {minor: found for minor, found in sorted(interpreters().items()) if minor != own}
    failed = [version for version, python in others.values() if not holds(version, python)]
    names = [f"{'.'.join(map(str, sys.version_info[:3]))} (by make test-python)"]
    names += [f"{version} (FAILED)" if version in failed else version for version, _ in others.values()]
    tell("propagation was tested on Python " + ", ".join(names))
    return len(failed)


def tell(line: str) -> None:
    """Print a line before what others print next."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def interpreters() -> dict[tuple[int, int], tuple[str, Path]]:
    """Return one interpreter for each minor version, those of pyenv among them, with its whole version."""
    found: dict[tuple[int, int], tuple[str, Path]] = {}
    in_path = [Path(directory) for directory in os.environ.get("PATH", "").split(os.pathsep) if directory]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for directory in [*in_path, *sorted(pyenv.glob("*/bin"))]:
        for python in sorted(directory.glob("python3.*")):
            if re.fullmatch(r"python3\.\d+", python.name) is None:
                continue
            # A shim of pyenv is there for every version, and most of them it does not run.
            asked = subprocess.run([python, "-c", VERSION], capture_output=True, text=True, check=False)
            if asked.returncode == 0:
                version = asked.stdout.strip()
                major, minor, _ = map(int, version.split("."))
                if (major, minor) >= OLDEST:
                    found.setdefault((major, minor), (version, python))
    return found


def holds(version: str, python: Path) -> bool:
    """Run the table on one of them."""
    tell(f"== Python {version}")
    environment = Path(os.environ["CARGO_TARGET_DIR"]) / "pythons" / version
    uv = shutil.which("uv") or "uv"
    there = environment / "bin" / "python"
    if not there.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", python, environment], check=True)
    requirements = ["--requirement", str(SDK / "pyproject.toml"), "--constraint", str(SDK / "requirements-dev.txt")]
    subprocess.run([uv, "pip", "install", "--quiet", "--python", there, *requirements, *TOOLS], check=True)
    command = [
        str(there),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        str(SDK / "pyproject.toml"),
        str(TABLE),
    ]
    # The environment of make is that of another Python.
    variables = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return subprocess.run(command, env=variables | {"PYTHONPATH": str(SDK / "python")}, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
