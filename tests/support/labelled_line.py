"""Persons on a line with clothes, modalities and tracklets, in a manifest; rankings can be read off by hand."""

from __future__ import annotations

from pathlib import Path

from tests.support.lines import GALLERY, write_line

QUERIES = [(1, 1, 0), (1, 1, 2), (1, 2, 8), (2, 1, 8), (2, 2, 0), (3, 1, 4)]
# (clothes, tracklet) of each image; camera 1 takes visible and camera 2 infrared images.
OF_QUERY = [("0", "1"), ("0", "1"), ("1", ""), ("0", ""), ("0", ""), ("0", "")]
OF_GALLERY = [("0", ""), ("0", "5"), ("1", ""), ("", ""), ("2", ""), ("1", ""), ("0", "5"), ("", "")]
MODALITY = {1: "visible", 2: "infrared"}
DATA = "{use: csv-manifest, root: line/list.csv}"


def write_labelled_line(folder: Path) -> None:
    """Write the images, features near.npz and right.npz, and line/list.csv with all labels."""
    write_line(folder, QUERIES)
    lines = ["path,pid,split,camid,clothes,modality,tracklet"]
    sides = (("query", "query", QUERIES, OF_QUERY), ("bounding_box_test", "gallery", GALLERY, OF_GALLERY))
    for part, split, rows, labels in sides:
        by_number = sorted((folder / "line" / part).iterdir(), key=lambda file: int(file.stem.split("_")[-2]))
        for file, (pid, camera, _), (clothes, tracklet) in zip(by_number, rows, labels, strict=True):
            lines.append(f"{part}/{file.name},{pid},{split},{camera - 1},{clothes},{MODALITY[camera]},{tracklet}")
    (folder / "line" / "list.csv").write_text("\n".join(lines) + "\n")
