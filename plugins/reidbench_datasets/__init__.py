"""Readers for published data sets on disk: strict file names, published counts, fingerprints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from reidbench import Component, Params, hookimpl
from reidbench.words import MORE_LABELS

from .modality_params import MarsParams, RegdbParams, SysuParams
from .params import (
    CheckedParams,
    ClonedPersonParams,
    Cuhk01Params,
    CuhkClassicParams,
    CuhkParams,
    FolderParams,
    GridParams,
    IdentityFoldersParams,
    LtccParams,
    ManifestParams,
    Market1501Params,
    MarketFolderParams,
    MsmtParams,
    PersonFoldersParams,
    PoolParams,
    PrccParams,
    SplitParams,
    ViperParams,
    WithdrawnParams,
)
from .vehicles.params import VehicleIdParams, VeriWildParams

__all__ = ["FolderParams", "ManifestParams", "Market1501Params", "reidbench_datasets"]

# name, "module:function", "module:fingerprint", params, summary
READERS: tuple[tuple[str, str, str, type[Params], str], ...] = (
    ("market1501", "market:open_market1501", "market:fingerprint", Market1501Params,
     "Market-1501: bounding_box_train, query, bounding_box_test; six cameras, strict file names"),
    ("msmt17-v1", "msmt17:open_v1", "msmt17:fingerprint_v1", MsmtParams,
     "MSMT17 as first released: train, test and four lists; 15 cameras"),
    ("msmt17-v2", "msmt17:open_v2", "msmt17:fingerprint_v2", MsmtParams,
     "MSMT17 with blurred faces: mask_train_v2, mask_test_v2 and four lists; not comparable with V1"),
    ("cuhk03-np", "cuhk03:open_np", "cuhk03:fingerprint_np", CuhkParams,
     "CUHK03 in the 767/700 protocol: detected or labeled boxes"),
    ("cuhk03-classic", "cuhk03:open_classic", "cuhk03:fingerprint_classic", CuhkClassicParams,
     "CUHK03 in the classic protocol: 20 splits of 100 test persons, single gallery shot"),
    ("dukemtmc-reid", "duke:open_duke", "duke:fingerprint_duke", WithdrawnParams,
     "DukeMTMC-reID, withdrawn by its owner: needs a local copy and accept_withdrawal"),
    ("occluded-duke", "duke:open_occluded", "duke:fingerprint_occluded", WithdrawnParams,
     "Occluded-Duke, withdrawn with its source: needs a local copy and accept_withdrawal"),
    ("luperson", "pools:open_luperson", "pools:fingerprint_luperson", CheckedParams,
     "LUPerson: images without labels, as folders or as an lmdb with any keys"),
    ("viper", "small:open_viper", "small:fingerprint_viper", ViperParams,
     "VIPeR: 632 persons, two cameras, ten fixed splits"),
    ("grid", "small:open_grid", "small:fingerprint_grid", GridParams,
     "GRID: 250 persons and 775 distractors, eight cameras, ten fixed or official splits"),
    ("prid2011", "small:open_prid", "small:fingerprint_prid", SplitParams,
     "PRID 2011 single-shot: 100 queries in a gallery of 649 persons, ten fixed splits"),
    ("cuhk01", "small:open_cuhk01", "small:fingerprint_cuhk01", Cuhk01Params,
     "CUHK01: 971 persons, two cameras with two images each; 485/486 or 871/100, ten fixed splits"),
    ("personx", "rendered:open_personx", "market:fingerprint", CheckedParams,
     "PersonX, the Market-style subset of ViSDA-2020: rendered, six cameras"),
    ("randperson", "rendered:open_randperson", "rendered:fingerprint_randperson", CheckedParams,
     "RandPerson's subset: rendered, for training only"),
    ("clonedperson", "rendered:open_clonedperson", "rendered:fingerprint_clonedperson", ClonedPersonParams,
     "ClonedPerson: rendered; a camera is a scene and a number in it"),
    ("partial-reid", "partial:open_partial_reid", "partial:fingerprint", Params,
     "Partial-REID: partial images of persons against whole ones; no cameras, for tests only"),
    ("partial-ilids", "partial:open_partial_ilids", "partial:fingerprint", Params,
     "Partial-iLIDS: partial images of persons against whole ones; no cameras, for tests only"),
    ("occluded-reid", "partial:open_occluded_reid", "partial:fingerprint", Params,
     "Occluded-REID: occluded persons against whole ones; no cameras, for tests only"),
    ("market-folder", "market:open_folder", "market:fingerprint_folder", MarketFolderParams,
     "any folder in the Market-1501 layout (0002_c1s1_000451_03.jpg and similar names)"),
    ("person-folders", "personfolders:open_folders", "personfolders:fingerprint", PersonFoldersParams,
     "train_all (or train, val), query and gallery with a folder for each person (0002/0002_c1s1_000451_03.jpg)"),
    ("csv-manifest", "manifest:open_manifest", "manifest:fingerprint", ManifestParams,
     "a CSV file path,pid,split[,camid,domain,time,clothes,modality,tracklet,attributes], one line per image"),
    ("image-folder", "pools:open_folder", "pools:fingerprint", PoolParams,
     "all images under a folder or in an lmdb, without labels: a pool"),
    ("prcc", "prcc:open_prcc", "prcc:fingerprint", PrccParams,
     "PRCC: 221 persons, three cameras; the same clothes in A and B, others in C"),
    ("ltcc", "ltcc:open_ltcc", "ltcc:fingerprint", LtccParams,
     "LTCC: 152 persons over months, twelve cameras, 478 outfits"),
    ("vc-clothes", "vcclothes:open_vc_clothes", "vcclothes:fingerprint", CheckedParams,
     "VC-Clothes: 512 rendered persons, four cameras, changing clothes"),
    ("sysu-mm01", "sysu:open_sysu", "sysu:fingerprint", SysuParams,
     "SYSU-MM01: infrared queries of two cameras, a visible gallery of four; persons of exp/*.txt"),
    ("regdb", "regdb:open_regdb", "regdb:fingerprint", RegdbParams,
     "RegDB: 412 persons, ten visible and ten thermal images each; ten published splits of idx/"),
    ("mars", "mars:open_mars", "mars:fingerprint", MarsParams,
     "MARS: tracklets by six cameras, bbox_train, bbox_test and the authors' info/"),
    ("veri-776", "vehicles.veri776:open_veri776", "vehicles.veri776:fingerprint", CheckedParams,
     "VeRi-776: 776 vehicles, twenty cameras; image_train, image_query, image_test"),
    ("vehicleid", "vehicles.vehicleid:open_vehicleid", "vehicles.vehicleid:fingerprint", VehicleIdParams,
     "VehicleID: 26,328 vehicles, cameras unknown; six test lists, gallery drawn by the evaluator"),
    ("veri-wild", "vehicles.veriwild:open_veriwild", "vehicles.veriwild:fingerprint", VeriWildParams,
     "VERI-Wild: 40,671 vehicles, 174 cameras; three tests"),
    ("identity-folders", "identityfolders:open_folders", "identityfolders:fingerprint", IdentityFoldersParams,
     "a folder for each identity, such as an animal, split by a named rule into an open or a closed set"),
)  # fmt: skip

POOL = frozenset({"cameras", "labels", "test"})
PARTS_OF_PERSONS = frozenset({"cameras", "train"})


def _manifest_lacks(params: ManifestParams, root: Path | None) -> frozenset[str]:
    """Return the labels that the file lacks; it is read for its fingerprint as well."""
    from .manifest import lacking

    return lacking(params, root)


LACKS: dict[str, frozenset[str] | Callable[[Any, Path | None], frozenset[str]]] = {
    "luperson": POOL,
    "image-folder": POOL,
    "randperson": frozenset({"test"}),
    "partial-reid": PARTS_OF_PERSONS,
    "partial-ilids": PARTS_OF_PERSONS,
    "occluded-reid": PARTS_OF_PERSONS,
    "market-folder": MarketFolderParams.lacking,
    "person-folders": MarketFolderParams.lacking,
    "csv-manifest": _manifest_lacks,
    "vehicleid": frozenset({"cameras"}),
    "identity-folders": IdentityFoldersParams.lacking,
}

CLOTHES, MODALITY = frozenset({"clothes"}), frozenset({"modality"})
OFFERED: dict[str, frozenset[str] | Callable[[Any], frozenset[str]]] = {
    "msmt17-v1": MsmtParams.offered,
    "msmt17-v2": MsmtParams.offered,
    "csv-manifest": MORE_LABELS,  # the file may lack some: see LACKS
    "market1501": Market1501Params.offered,
    "prcc": PrccParams.offered,
    "ltcc": CLOTHES,
    "vc-clothes": CLOTHES,
    "sysu-mm01": MODALITY,
    "regdb": MODALITY,
    "mars": frozenset({"tracklets"}),
}


@hookimpl
def reidbench_datasets() -> Iterator[Component]:
    """Yield the data sets of this plugin."""
    for name, target, fingerprint, params, summary in READERS:
        yield Component(
            name,
            f"{__name__}.{target}",
            params,
            version=2,  # images are rotated by EXIF, and every extension is read
            summary=summary,
            capabilities=OFFERED.get(name, frozenset()),
            requires=frozenset({"root"}),
            fingerprint=f"{__name__}.{fingerprint}",
            lacks=LACKS.get(name, frozenset()),
            stand_in=f"{__name__}.standins:{name.replace('-', '_')}",
        )
