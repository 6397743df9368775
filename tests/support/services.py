"""Services for tests: in a thread with mean colours as features, or as the command of a real row in a process."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from reidbench.data import read_image
from reidbench.export.features import Named

MATRIX = """
image_size: [48, 24]
data: {t: {use: market-folder, root: data}}
tasks: {t: {source: t, target: t}}
backbone: {use: resnet-tiny, width: 4}
methods: {colours: {finetune: {use: colour-histogram, bins: 4}}}
"""
STRANGE = "<img src=x onerror=x>&amp;'\".png"


def mean_colours(pixels: np.ndarray) -> np.ndarray:
    """Mean colours of a grid of 4 x 2, and a constant, so that black is not a zero vector: [25] float32."""
    small = np.asarray(Image.fromarray(pixels).resize((2, 4), Image.Resampling.BOX), np.float32)
    return np.append(small.ravel(), np.float32(1))


def encoded(pixels: np.ndarray, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def noise(seed: int, height: int = 32, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def form_of(data: bytes, name: str = "picture", file: str = "x.png", kind: str = "image/png") -> tuple[bytes, str]:
    """A multipart body with one part, and its content type."""
    boundary = uuid.UUID(int=len(data)).hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\nContent-Type: {kind}'
    return b"".join(
        [head.encode(), b"\r\n\r\n", data, f"\r\n--{boundary}--\r\n".encode()]
    ), f"multipart/form-data; boundary={boundary}"


@dataclass
class Answer:
    """An answer of the server."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def ask(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **options: Any
) -> Answer:
    """Send one request on a new connection."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        connection.request(method, path, body, headers or {}, **options)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


def search(port: int, data: bytes, k: int | str = 5, **part: str) -> Answer:
    """Upload a picture."""
    body, kind = form_of(data, **part)
    return ask(port, "POST", f"/search?k={k}", body, {"Content-Type": kind})


def service_of(folder: Path, **limits: Any) -> Any:
    """A service of a folder of images, with mean colours as features."""
    from reidbench.serving.answers import About
    from reidbench.serving.gallery import Gallery, names_in
    from reidbench.serving.index import Index
    from reidbench.serving.limits import Limits
    from reidbench.serving.service import Service

    names, _ = names_in(folder)
    index = Index(Named(names, np.stack([mean_colours(read_image(folder / name)) for name in names])))
    about = About(
        network="mean colours",
        keys=["0" * 32],
        images=len(names),
        dimensions=25,
        index="flat",
        exact=True,
        most_results=100,
        most_bytes=1,
        most_pixels=1,
    )
    return Service(Gallery(folder, names), index, mean_colours, about, Limits(**limits))


@contextlib.contextmanager
def serving(service: Any) -> Iterator[int]:
    """Serve in a thread; the port."""
    from reidbench.serving.server import bind, server_of

    bound = bind("127.0.0.1", 0)
    bound.listen()
    server = server_of(service, "127.0.0.1")
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        yield bound.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(60)
        service.close()


@dataclass
class Command:
    """`reidbench serve` of a row on rendered persons, in a process."""

    folder: Path
    process: subprocess.Popen[str]
    port: int

    @property
    def gallery(self) -> Path:
        return self.folder / "data" / "bounding_box_test"

    @property
    def queries(self) -> list[Path]:
        return sorted((self.folder / "data" / "query").glob("*.png"))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def open_files(self) -> list[str]:
        """Files that the process has open, without sockets and pipes."""
        return sorted(file.path for file in psutil.Process(self.process.pid).open_files())

    def descriptors(self) -> int:
        """Number of files, sockets and pipes that the process has open."""
        return int(psutil.Process(self.process.pid).num_fds())


def row(folder: Path) -> list[str]:
    """Options that name the row of `prepare`."""
    return ["--file", str(folder / "matrix.yaml"), "--store", str(folder / "store"), "--row", "colours"]


def prepare(folder: Path) -> None:
    """Render persons, run the row, and add an image with a hostile name to the gallery."""
    from reidbench.testing import run_matrix
    from reidbench_synthetic.folder import write_folder
    from reidbench_synthetic.params import SyntheticParams

    write_folder(SyntheticParams(world="plaza", size="tiny"), folder / "data", processes=1)
    with contextlib.chdir(folder):
        run_matrix(MATRIX, folder)
    Image.new("RGB", (24, 48), (255, 0, 255)).save(folder / "data" / "bounding_box_test" / STRANGE)


@contextlib.contextmanager
def command(folder: Path, *options: str) -> Iterator[Command]:
    """Start the command in a prepared folder, with an own folder for temporary files, and stop it."""
    words = [sys.executable, "-m", "reidbench", "serve", *row(folder), "--gallery", "data/bounding_box_test", *options]
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(folder / "tmp")}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment) as process:
        try:
            assert process.stderr is not None
            said = ""
            for line in process.stderr:
                said += line
                if found := re.match(r"serving http://127\.0\.0\.1:([0-9]+)/ \(Ctrl-C stops it\)\n", line):
                    yield Command(folder, process, int(found[1]))
                    break
            else:
                raise AssertionError(said)
        finally:
            process.kill()  # a failed assertion does not wait for a server
