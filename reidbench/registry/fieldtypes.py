"""Strict checks of values against parameter types: pydantic alone accepts true as 1 and "1_000" as 1000."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import numbers
import types
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, PlainValidator, RootModel, WrapValidator

from reidbench.components import Params

Place = tuple[str | int, ...]
Misfit = tuple[Place, str, Any]  # path in the parameters, requirement, value

WHOLE = "must be a whole number, like 2"
DECIMAL = "must be a number, like 2 or 0.5"
TRUTH = "must be true or false"
# A validator that runs before pydantic's own may accept text for a number, such as 1/3.
EARLY = (BeforeValidator, PlainValidator, WrapValidator)


def misfits(params: type[Params], values: Mapping[str, Any]) -> list[Misfit]:
    """Return values of the wrong kind: true, false or text for a number, or a number for true or false.

    Checked by the fields' types at every depth, so authors of parameters need not do it.
    """
    return list(_of_model(params, values, ()))


def _of_model(model: type[BaseModel], values: Mapping[str, Any], place: Place) -> Iterator[Misfit]:
    early = {
        name
        for decorator in model.__pydantic_decorators__.field_validators.values()
        if decorator.info.mode != "after"
        for name in decorator.info.fields
    }
    for name, info in model.model_fields.items():
        for key in {name, info.alias or name} & values.keys():
            text_too = bool({name, "*"} & early) or any(isinstance(mark, EARLY) for mark in info.metadata)
            yield from _of_type(info.annotation, values[key], (*place, key), text_too)


def _of_type(annotation: Any, value: Any, place: Place, text_too: bool = False) -> Iterator[Misfit]:
    """Yield the misfits of a value; `text_too`: text is left to the author's validator."""
    annotation, text_too = _bare(annotation, text_too)
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if _may_take(member, value)]
        found = [list(_of_type(member, value, place, text_too)) for member in members]
        yield from found[0] if found and all(found) else ()
    elif get_origin(annotation) is Literal:
        yield from _of_choices(get_args(annotation), value, place)
    elif isinstance(value, list | tuple):
        for index, (inner, item) in enumerate(_items(annotation, value)):
            yield from _of_type(inner, item, (*place, index), text_too)
    elif isinstance(value, Mapping):
        yield from _of_map(annotation, value, place, text_too)
    elif inspect.isclass(annotation):
        yield from _of_scalar(annotation, value, place, text_too)


def _may_take(member: Any, value: Any) -> bool:
    """Return whether a value has the form of a union member; numbers, booleans and text are distinguished later."""
    member, _ = _bare(member, text_too=False)
    kind = get_origin(member) or member
    if kind is Literal:
        return any(type(choice) is type(value) and choice == value for choice in get_args(member))
    if value is None or kind is types.NoneType:
        return value is None
    if not inspect.isclass(kind) or kind is object:
        return True
    composed = issubclass(kind, Collection | BaseModel) and not issubclass(kind, str | bytes)
    if isinstance(value, list | tuple | Mapping):
        return composed or dataclasses.is_dataclass(kind)
    return not composed and (isinstance(value, str) or not issubclass(kind, str | bytes | PurePath))


def _bare(annotation: Any, text_too: bool) -> tuple[Any, bool]:
    """Return a type without annotations and aliases."""
    while True:
        if get_origin(annotation) is typing.Annotated:
            annotation, *marks = get_args(annotation)
            text_too = text_too or any(isinstance(mark, EARLY) for mark in marks)
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__"):  # `type X = ...` of Python 3.12
            annotation = annotation.__value__
        elif inspect.isclass(annotation) and issubclass(annotation, RootModel):
            annotation = annotation.model_fields["root"].annotation
        elif isinstance(annotation, typing.TypeVar):
            annotation = annotation.__bound__ or Any
        else:
            return annotation, text_too


def _of_scalar(kind: type, value: Any, place: Place, text_too: bool) -> Iterator[Misfit]:
    if issubclass(kind, enum.Enum):
        yield from _of_choices([member.value for member in kind], value, place)
    elif issubclass(kind, bool):
        if value is not None and not isinstance(value, bool) and not (text_too and isinstance(value, str)):
            yield place, TRUTH, value
    elif issubclass(kind, numbers.Number):
        whole = issubclass(kind, numbers.Integral)
        broken = whole and isinstance(value, float) and not value.is_integer()
        if isinstance(value, bool) or broken or (isinstance(value, str) and not text_too):
            yield place, WHOLE if whole else DECIMAL, value


def _of_choices(choices: Sequence[Any], value: Any, place: Place) -> Iterator[Misfit]:
    """Yield a choice of the wrong type: in Python, true equals 1 and 2.0 equals 2."""
    equal = [type(choice) for choice in choices if choice == value]
    if isinstance(value, bool | int | float) and equal and type(value) not in equal:
        yield place, f"must be one of {', '.join(map(_said, choices))}", value


def _said(choice: Any) -> str:
    return str(choice).lower() if isinstance(choice, bool) else str(choice)


def _items(annotation: Any, values: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield each item with its type; Any if the annotation does not give one."""
    given = get_args(annotation)
    if not given and inspect.isclass(annotation) and issubclass(annotation, tuple):  # a NamedTuple
        given = tuple(_hints(annotation).values())
    elif len(given) == 1 or given[1:] == (...,):
        given = (given[0],) * len(values)
    return zip((*given, *[Any] * len(values)), values, strict=False)


def _of_map(annotation: Any, values: Mapping[str, Any], place: Place, text_too: bool) -> Iterator[Misfit]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield from _of_model(annotation, values, place)
        return
    inner = get_args(annotation)[1:]  # of dict[str, X]
    hints = _hints(annotation)
    for key, value in values.items():
        yield from _of_type(inner[0] if inner else hints.get(key, Any), value, (*place, key), text_too)


def _hints(annotation: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, TypedDict or NamedTuple, otherwise {}."""
    known = dataclasses.is_dataclass(annotation) or hasattr(annotation, "__total__") or hasattr(annotation, "_fields")
    return typing.get_type_hints(annotation, include_extras=True) if known else {}
