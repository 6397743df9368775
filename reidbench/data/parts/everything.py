"""All images of a data set that have an identity, as one training set: train, query and gallery together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from reidbench.data.dataset import PARTS
from reidbench.data.morelabels import UNKNOWN
from reidbench.data.split import Sample, Split


def all_images(parts: Mapping[str, Split], one_numbering: bool) -> tuple[Split, np.ndarray, tuple[str, ...]]:
    """Return the images, the index of each [N] in the concatenated parts, and sentences about images left out.

    Junk and distractors have no class. An image that repeats in a later part counts once. Without `one_numbering`,
    equal pids in train and test are two persons; cameras are the same in all parts. Tracklets of train and test are
    different, since some sets count both from 0.
    """
    there = [parts[part] for part in PARTS if part in parts]
    above = int(max(there[0].pids.max(initial=0), 0)) if "train" in parts and not one_numbering else 0
    walks = 0 if "train" not in parts or there[0].tracklets is None else int(there[0].tracklets.max()) + 1
    samples: dict[str, Sample] = {}
    places: dict[str, int] = {}
    dropped: Counter[str] = Counter()
    place = -1
    for number, split in enumerate(there):
        for sample in split.samples:
            place += 1
            if sample.pid <= 0:
                dropped["without an identity (junk or distractors)"] += 1
            elif sample.path in samples:
                dropped["that another part also has"] += 1
            else:
                walk = sample.tracklet if sample.tracklet == UNKNOWN or not number else sample.tracklet + walks
                pid = sample.pid + (above if number else 0)
                samples[sample.path] = sample._replace(pid=pid, tracklet=walk)
                places[sample.path] = place
    counts = [f"{count} image{'s' * (count > 1)} {what}" for what, count in dropped.items()]
    notes = tuple(f"left out of training: {count}" for count in counts)
    missing = [part for part in PARTS if part not in parts or not len(parts[part])]
    notes += (f"there is no {' and no '.join(missing)} part",) if missing else ()
    return Split(there[0].root, list(samples.values())), np.array(list(places.values()), dtype=np.int64), notes
