"""Networks of exported folders: rebuilt from the classes and backbones that loaded plugins declare, and no others."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from reidbench.components import ContentHashed, InitialWeights, InPlace, Params, Secret
from reidbench.data.pictures.size import ImageSize
from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.files.networkfolder import CONFIG, NetworkFolder
from reidbench.matrix.benchmark import marker
from reidbench.matrix.kinds import OF_STAGE, TRAINED
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry
from reidbench.words import Declared

if TYPE_CHECKING:
    from reidbench.training import Embedder

TRAINERS = frozenset(OF_STAGE[stage].component for stage in TRAINED)  # kinds of components that return networks
Build = Callable[[Registry, Mapping[str, Any]], Any]


def rebuilt(registry: Registry, build: Build, given: NetworkFolder, image_size: tuple[int, int]) -> Embedder:
    """Return the network of a folder, for images of this size.

    At the size and filters that it was exported with, it gives the exported network's features. At others, its weights
    are loaded as between the steps of a method. Raises ReidbenchError, in one sentence, for a component, class,
    backbone or parameter that no loaded plugin declares, for one that would read other files, and for tensors that do
    not fit.
    """
    from safetensors.torch import load_file

    from reidbench.training.weights.artifacts import build_embedder
    from reidbench.training.weights.carry import OwnNetwork, carry
    from reidbench.training.weights.files import require_numbers

    kind = embedder_class(registry, given)
    backbones = {name: _plain(registry, given, name) for name in given.backbones}
    size = ImageSize.given(image_size)
    spec = {**given.spec, **{name: {"backbone": one} for name, one in backbones.items()}}
    spec["preprocess"] = dict(given.preprocess)
    _require_fields(kind, spec, given)
    first = next(iter(backbones.values()))
    own = OwnNetwork({**first, "image_size": list(size)}, size, shown(given.path.name))
    try:
        same = _same_pixels(given, size)
        embedder, grids = build_embedder(kind, spec, lambda one: build(registry, one), None if same else own)
        state = load_file(given.weights)
        carry(state, embedder, grids, own)
    except ReidbenchError as error:
        raise ReidbenchError(f"{shown(given.path)}: {error}") from None
    except Exception as error:  # noqa: BLE001 - constructors raise many types for a foreign spec
        raise ReidbenchError(f"{shown(given.path)}: the network cannot be rebuilt: {plugins.describe(error)}") from None
    require_numbers(shown(given.weights), state, embedder.state_dict())
    if wrong := sorted(given.capabilities - capabilities_of(registry, first)):
        raise ReidbenchError(
            f"{shown(given.path / CONFIG)}: declares the capability {shown(wrong[0])}, which the backbone "
            f"{shown(first['use'])} does not have; remove it there"
        )
    return embedder


def _same_pixels(given: NetworkFolder, size: ImageSize) -> bool:
    from reidbench.training import Preprocess

    own = Preprocess(**given.preprocess).pictures
    return (*own, own.resize, own.resize_test) == (*size, size.resize, size.resize_test)


# ---------------------------------------------------------------------- classes
def embedder_class(registry: Registry, given: NetworkFolder) -> type[Embedder]:
    """Return the embedder class of a folder. Only the module of its component, a loaded plugin's, is imported.

    Raises ReidbenchError for a component or a class that loaded plugins do not have.
    """
    from reidbench.training import Embedder, SplitEmbedder

    where, (kind, name) = shown(given.path / CONFIG), given.trained_by
    component = registry.components.get((kind, name))
    if component is None or kind not in TRAINERS:
        raise ReidbenchError(
            f"{where}: {shown(kind)} {shown(name)} of {shown(given.plugin)}, which trained the network, is not "
            "among the loaded plugins; install it (`reidbench plugins` lists them)"
        )
    component.load()  # which imports the classes that it returns
    plugin = registry.plugins[registry.source[kind, name]]
    packages = {"reidbench", plugin.module.partition(".")[0]}
    known = {class_name(one): one for one in _below(Embedder) if one.__module__.partition(".")[0] in packages}
    found = known.get(given.name)
    if found is None or issubclass(found, SplitEmbedder):
        raise ReidbenchError(f"{where}: {shown(kind)} {shown(name)} has no network of the class {shown(given.name)}")
    return found


def class_name(kind: type) -> str:
    """Return a class as "module:class"."""
    return f"{kind.__module__}:{kind.__qualname__}"


def _below(kind: type[Embedder]) -> Iterator[type[Embedder]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _below(one)


def _require_fields(kind: type[Embedder], spec: Mapping[str, Any], given: NetworkFolder) -> None:
    """Raise ReidbenchError unless a spec has the fields of its class."""
    try:
        inspect.signature(kind).bind(**spec)
    except TypeError as error:
        raise ReidbenchError(
            f"{shown(given.path / CONFIG)}: spec has not the fields of {kind.__name__}: {shown(str(error))}"
        ) from None


# ---------------------------------------------------------------------- backbones
def _plain(registry: Registry, given: NetworkFolder, name: str) -> dict[str, Any]:
    """Return a described backbone that reads no weights. Raises ReidbenchError for parameters that name some."""
    described = given.backbones[name]
    where = f"{shown(given.path / CONFIG)}: backbone {shown(described['use'])}"
    component = registry.components.get(("backbone", described["use"]))
    if component is None:
        raise ReidbenchError(f"{where} is not among the loaded plugins; install its plugin")
    params = component.params
    blank = without_weights(params)
    for field, value in described["params"].items():
        if field in blank and value not in (None, blank[field]):
            raise ReidbenchError(
                f"{where}: the parameter {field} names weights or files elsewhere, and a folder is read by itself; "
                "remove it there"
            )
    plain = {**described["params"], **blank}
    try:
        params(**plain)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ReidbenchError(f"{where}: parameter {shown(place)}: {shown(first['msg'])}") from None
    return {**described, "params": plain}


def capabilities_of(registry: Registry, described: Mapping[str, Any]) -> frozenset[str]:
    """Return the capabilities of a backbone described as `{use, params}`."""
    component = registry.get("backbone", described["use"])
    return component.capabilities_with(component.params(**described["params"]))


def without_weights(params: type[Params]) -> dict[str, Any]:
    """Return the values that make a backbone read no initial weights: all parameters that name or declare any."""
    found: dict[str, Any] = {}
    for name, info in params.model_fields.items():
        mark = marker(info, InitialWeights)
        if mark or any(marker(info, kind) for kind in (ContentHashed, Declared, InPlace, Secret)):
            found[name] = mark.without if mark else None
    return found
