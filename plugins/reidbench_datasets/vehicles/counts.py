"""Published counts of the vehicle data sets."""

from __future__ import annotations

from reidbench.data import Counts, Published

_VEHICLEID_TRAIN = Counts(113346, 13164)
# README of the release: 221,567 images of 26,328 vehicles, after corrections of the paper's 221,763 of 26,267.
_VEHICLEID_SOURCE = "README of the release and docstrings of fast-reid; the paper's numbers are older"
# README of PKU-IMRE/VERI-Wild: 416,314 images of 40,671 vehicles by 174 cameras. Train and the large test add up to it.
_WILD_TRAIN = Counts(277797, 30671, 174).doubted("cameras")
_WILD_SOURCE = "README of the authors, docstrings of fast-reid; queries and gallery of the tests unverified"


def _vehicleid(vehicles: int, images: int | None, *doubted: str) -> Published:
    """Return a test list of VehicleID: query and gallery are all its images, and the protocol draws from them."""
    test = Counts(images, vehicles)
    test = test.doubted(*doubted) if doubted else test
    return Published({"train": _VEHICLEID_TRAIN, "query": test, "gallery": test}, _VEHICLEID_SOURCE)


def _wild(vehicles: int, images: int, **whole: Counts) -> Published:
    """Return a test of VERI-Wild with that number of images in query and gallery together, one query per vehicle."""
    query, gallery = Counts(vehicles, vehicles), Counts(images - vehicles, vehicles)
    parts = {"train": _WILD_TRAIN, "query": query.doubted("images"), "gallery": gallery.doubted("images")}
    return Published(parts | whole, _WILD_SOURCE)


VEHICLES: dict[str, Published] = {
    "veri-776": Published(
        {
            "train": Counts(37778, 576, 20),
            "query": Counts(1678, 200, 19).doubted("cameras"),
            "gallery": Counts(11579, 200, 19).doubted("cameras"),
        },
        "the authors' evaluation code (test) and loaders of fast-reid and others; cameras of the test unverified",
    ),
    "vehicleid:800": _vehicleid(800, 6493),
    "vehicleid:1600": _vehicleid(1600, 13377),
    "vehicleid:2400": _vehicleid(2400, 19777),
    "vehicleid:3200": _vehicleid(3200, None),
    "vehicleid:6000": _vehicleid(6000, None),
    "vehicleid:13164": _vehicleid(13164, 108221, "images"),  # all images without those of train
    "veri-wild:3000": _wild(3000, 41861),
    "veri-wild:5000": _wild(5000, 69389),
    "veri-wild:10000": _wild(10000, 138517, all=Counts(416314, 40671, 174)),
}
