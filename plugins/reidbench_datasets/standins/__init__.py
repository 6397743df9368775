"""Stand-ins: for each reader a few drawn persons (or vehicles, or animals) in the layout of its data set's release.

A function `(params, folder) -> root` for each data set, by its name, writes below the folder and returns the `root` of
the data set. The same params give the same bytes. The output is marked as a stand-in (see
reidbench.data.standin), so that its numbers are not mistaken for those of the data set.

Imports reidbench and the readers' names of files and folders. Begin with `people.py` and `figures.py`.
"""

from __future__ import annotations

from .clothes import ltcc as ltcc
from .clothes import prcc as prcc
from .clothes import vc_clothes as vc_clothes
from .crossmodal import regdb as regdb
from .crossmodal import sysu_mm01 as sysu_mm01
from .listed import csv_manifest as csv_manifest
from .listed import cuhk03_classic as cuhk03_classic
from .listed import cuhk03_np as cuhk03_np
from .listed import msmt17_v1 as msmt17_v1
from .listed import msmt17_v2 as msmt17_v2
from .marketlike import dukemtmc_reid as dukemtmc_reid
from .marketlike import market1501 as market1501
from .marketlike import market_folder as market_folder
from .marketlike import occluded_duke as occluded_duke
from .marketlike import person_folders as person_folders
from .marketlike import personx as personx
from .mars import mars as mars
from .pools import clonedperson as clonedperson
from .pools import image_folder as image_folder
from .pools import luperson as luperson
from .pools import randperson as randperson
from .small import cuhk01 as cuhk01
from .small import grid as grid
from .small import occluded_reid as occluded_reid
from .small import partial_ilids as partial_ilids
from .small import partial_reid as partial_reid
from .small import prid2011 as prid2011
from .small import viper as viper
from .vehicles import identity_folders as identity_folders
from .vehicles import vehicleid as vehicleid
from .vehicles import veri_776 as veri_776
from .vehicles import veri_wild as veri_wild
