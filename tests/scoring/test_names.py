"""Under which names people save what."""

from __future__ import annotations

import pytest

from reidbench.scoring.names import ACCEPTED, Keys, role_of


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        ("qf gf q_pids g_pids q_camids g_camids", "torchreid"),
        ("query_f gallery_f query_label gallery_label query_cam gallery_cam", "layumi"),
        ("query_feat gallery_feat query_pids gallery_pids query_camids gallery_camids", "fast-reid"),
        ("query_feats gallery_feats query_ids gallery_ids query_cams gallery_cams", ""),
        ("QueryFeatures galleryFeatures QUERY_PIDS Gallery-Pids queryCam galleryCAM", "case"),
        ("q_feat g_feat qid gid qcam gcam", "short"),
        ("q_embeddings g_embeddings q_person_ids g_person_ids q_camera_ids g_camera_ids", "long"),
        ("probe_features gallery_features probe_labels gallery_labels probe_cams gallery_cams", "probe"),
        ("feat_query feat_gallery label_query label_gallery cam_query cam_gallery", "MARS"),
        ("probFea galFea prob_label gal_label prob_cam gal_cam", "k-reciprocal re-ranking"),
    ],
)
def test_names_of_other_programs(names: str, roles: str) -> None:
    ours = ["query_features", "gallery_features", "query_pids", "gallery_pids", "query_camids", "gallery_camids"]
    assert [role_of(name) for name in names.split()] == ours


def test_distances_and_others() -> None:
    assert {role_of(name) for name in ("distances", "distmat", "dist_mat", "DistMat", "dist")} == {"distances"}
    assert role_of("train_pids") == "train_pids"
    others = ("mquery_f", "mquery_label", "q_boxes", "epoch", "cmc", "query_frames", "g_frames", "")
    assert {role_of(name) for name in others} == {None}
    assert {role_of(name) for name in ("query_names", "q_paths", "Query-Path")} == {"query_names"}


def test_labels_beyond_identity() -> None:
    names = ("query_clothes", "q_clothes_ids", "GalleryClothesIds", "query_modality", "g_modal", "query_tracklet_id")
    assert [role_of(name) for name in names] == [
        "query_clothes", "query_clothes", "gallery_clothes", "query_modality", "gallery_modality", "query_tracklets"
    ]  # fmt: skip


def test_no_name_means_two_things() -> None:
    names = [name.replace("_", "") for accepted in ACCEPTED.values() for name in {n.replace("_", "") for n in accepted}]
    assert len(names) == len(set(names))


def test_a_missing_key_names_what_was_looked_for_and_what_is_there() -> None:
    keys = Keys.of(["query_features", "query_pid_list", "x\x1b[2J"])
    text = keys.missing("query_pids")
    assert text.startswith("missing query_pids (or q_pids, query_label, ...); the file has: query_features, ")
    assert text.endswith("did you mean 'query_pid_list'? rename it to 'query_pids'")
    assert text.isprintable()
    assert Keys.of([]).missing("gallery_camids").endswith("(or g_camids, gallery_cam, ...); the file has: nothing")
    assert "did you mean" not in Keys.of(["colour"]).missing("query_pids")
