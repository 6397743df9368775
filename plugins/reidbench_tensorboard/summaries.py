"""TensorBoard summaries: scalars, texts, and the start and end of a session of the HParams tab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.plugins.text.metadata import create_summary_metadata

Value = str | int | float | bool
STATUS = {"done": "STATUS_SUCCESS", "cached": "STATUS_SUCCESS", "failed": "STATUS_FAILURE"}  # others are unknown


def scalars(values: Mapping[str, float]) -> Summary:
    """Return a scalar for each value."""
    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])


def text(tag: str, words: str) -> Summary:
    """Return Markdown for the Text tab."""
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    tensor = TensorProto(dtype="DT_STRING", string_val=[words.encode()], tensor_shape=shape)
    return Summary(value=[Summary.Value(tag=tag, metadata=create_summary_metadata(tag, ""), tensor=tensor)])


def session_start(values: Mapping[str, Value], group: str, seconds: float) -> Summary:
    """Return the hyperparameters of a session that starts at that time, in seconds since 1970."""
    info = SessionStartInfo(group_name=group, start_time_secs=seconds)
    for name, value in values.items():
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, str):
            info.hparams[name].string_value = value
        else:
            info.hparams[name].number_value = value
    return _of_session(hparams.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def session_end(status: str, seconds: float) -> Summary:
    """Return the end of a session with the status of its stage."""
    info = SessionEndInfo(status=Status.Value(STATUS.get(status, "STATUS_UNKNOWN")), end_time_secs=seconds)
    return _of_session(hparams.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=info))


def _of_session(tag: str, data: Any) -> Summary:
    metadata = hparams.create_summary_metadata(data)
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=hparams.NULL_TENSOR)])
