"""A JSON Schema as a tree of nodes that fill themselves from a passage.

`filler(schema)` compiles once per distinct schema; its `fill` always returns a value that
satisfies the keywords providers accept in structured output (types, enum, const, bounds, lengths,
pattern, format, properties, required, additionalProperties, items, prefixItems, uniqueItems,
anyOf, oneOf, allOf, $ref). Not honoured: `not`, `if`, `contains`, `dependent*`, `propertyNames`,
`patternProperties`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

from .leaves import (
    MISSING,
    AnyNode,
    BooleanNode,
    EnumNode,
    Hint,
    Node,
    NullNode,
    NumberNode,
    StringNode,
    same,
)
from .merging import ANNOTATIONS, flatten, merge, resolve, without
from .passage import Passage
from .request import JsonObject, is_array, is_object

_DEEP = 5
_MOST_ITEMS = 20
_MOST_TRIES = 64


class ObjectNode:
    """An object: what is required, and of the rest what the passage supports."""

    def __init__(self, root: JsonObject, schema: JsonObject) -> None:
        properties: JsonObject = schema.get("properties") or {}
        self._children = {
            name: compile_node(root, child, Hint.of(name, child if is_object(child) else {}))
            for name, child in properties.items()
        }
        self._required: list[str] = list(schema.get("required") or ())
        self._extra: Any = schema.get("additionalProperties", True)
        self._extra_node = None if self._extra is False else compile_node(root, self._extra)
        self._least = int(schema.get("minProperties", 0))
        self._most: int | None = schema.get("maxProperties")
        for name in self._required:
            if name not in self._children and self._extra_node is not None:
                hint = Hint.of(name, {})
                self._children[name] = compile_node(root, self._extra, hint)
        self._is_map = not properties and is_object(self._extra)

    def find(self, passage: Passage, depth: int) -> Any:
        if depth > _DEEP:
            return MISSING
        found = {n: child.find(passage, depth + 1) for n, child in self._children.items()}
        if all(value is MISSING for value in found.values()):
            return MISSING
        return self._assembled(found, passage, depth, 0)

    def fill(self, passage: Passage, depth: int, index: int = 0) -> Any:
        wanted = {} if depth > _DEEP or index else self._children
        found = {name: child.find(passage, depth + 1) for name, child in wanted.items()}
        return self._assembled(found, passage, depth, index)

    def _assembled(self, found: JsonObject, passage: Passage, depth: int, index: int) -> JsonObject:
        filled: JsonObject = {}
        for name, child in self._children.items():
            value = found.get(name, MISSING)
            if name in self._required:
                lacks = value is MISSING
                filled[name] = child.fill(passage, depth + 1, index) if lacks else value
            elif value is not MISSING and (self._most is None or len(filled) < self._spare()):
                filled[name] = value
        if self._is_map or len(filled) < self._least:
            self._extend(filled, passage, depth, index)
        return filled

    def _spare(self) -> int:
        return (self._most or 0) - len(self._required) + 1

    def _extend(self, filled: JsonObject, passage: Passage, depth: int, index: int) -> None:
        for name, child in self._children.items():
            if len(filled) < self._least and name not in filled:
                filled[name] = child.fill(passage, depth + 1, index)
        number = 0
        while len(filled) < self._least and self._extra_node is not None:
            number += 1
            name = f"key{number}"
            if name not in self._children:
                filled[name] = self._extra_node.fill(passage, depth + 1, index)

    def find_all(self, passage: Passage, depth: int) -> list[Any]:
        parts = passage.bullets if len(passage.bullets) > 1 else [passage.text]
        found = [self.find(Passage(part), depth) for part in parts[:_MOST_ITEMS]]
        return [value for value in found if value is not MISSING]

    def accepts(self, value: Any) -> bool:
        if not is_object(value) or any(name not in value for name in self._required):
            return False
        if len(value) < self._least or (self._most is not None and len(value) > self._most):
            return False
        for name, item in value.items():
            node = self._children.get(name, self._extra_node)
            if node is None or not node.accepts(item):
                return False
        return True


class ArrayNode:
    """An array: what the passage supports for its items, cut and padded to its bounds."""

    def __init__(self, root: JsonObject, schema: JsonObject, hint: Hint) -> None:
        self._prefix = [compile_node(root, item, hint) for item in schema.get("prefixItems") or ()]
        items = schema.get("items", True)
        self._item = None if items is False else compile_node(root, items, hint)
        self._least = int(schema.get("minItems", 0))
        self._most = int(schema.get("maxItems", max(_MOST_ITEMS, self._least)))
        self._unbounded = "maxItems" not in schema
        self._unique = bool(schema.get("uniqueItems"))

    def find(self, passage: Passage, depth: int) -> Any:
        if self._prefix:
            return MISSING
        found = self._found(passage, depth)
        return self._assembled(found, passage, depth, 0) if found else MISSING

    def fill(self, passage: Passage, depth: int, index: int = 0) -> Any:
        found = [] if index else self._found(passage, depth)
        return self._assembled(found, passage, depth, index)

    def _found(self, passage: Passage, depth: int) -> list[Any]:
        if depth > _DEEP or self._item is None:
            return []
        return self._item.find_all(passage, depth + 1)

    def _assembled(self, found: list[Any], passage: Passage, depth: int, index: int) -> list[Any]:
        filled: list[Any] = [node.fill(passage, depth + 1, index) for node in self._prefix]
        filled = filled[: self._most]
        for value in found:
            if len(filled) < self._most and self._addable(filled, value):
                filled.append(value)
        turn = index
        while (
            self._item is not None
            and len(filled) < self._least
            and turn < index + self._least + _MOST_TRIES
        ):
            value = self._item.fill(passage, depth + 1, turn)
            if self._addable(filled, value):
                filled.append(value)
            turn += 1
        return filled

    def _addable(self, filled: list[Any], value: Any) -> bool:
        return not self._unique or not any(same(value, own) for own in filled)

    def find_all(self, passage: Passage, depth: int) -> list[Any]:
        found = self.find(passage, depth)
        return [] if found is MISSING else [found]

    def accepts(self, value: Any) -> bool:
        if not is_array(value) or len(value) < self._least:
            return False
        if len(value) > self._most and not self._unbounded:
            return False
        if self._unique and any(same(a, b) for n, a in enumerate(value) for b in value[:n]):
            return False
        for position, item in enumerate(value):
            node = self._prefix[position] if position < len(self._prefix) else self._item
            if node is None or not node.accepts(item):
                return False
        return True


class UnionNode:
    """One of several schemas: the first the passage supports, else null, else the simplest."""

    def __init__(self, branches: list[Node], *, exactly_one: bool) -> None:
        self._branches = branches
        self._exactly_one = exactly_one

    def _fits(self, value: Any) -> bool:
        if value is MISSING:
            return False
        return not self._exactly_one or self.accepts(value)

    def find(self, passage: Passage, depth: int) -> Any:
        for branch in self._branches:
            value = branch.find(passage, depth)
            if self._fits(value):
                return value
        return MISSING

    def fill(self, passage: Passage, depth: int, index: int = 0) -> Any:
        if index == 0 and depth <= _DEEP and self._fits(found := self.find(passage, depth)):
            return found
        nulls = [b for b in self._branches if isinstance(b, NullNode)]
        plain = [b for b in self._branches if not isinstance(b, NullNode | RefNode)]
        ordered = [
            *(nulls if index == 0 or depth > _DEEP else ()),
            *(plain if depth > _DEEP else ()),
        ]
        for branch in [*ordered, *self._branches]:
            value = branch.fill(passage, depth + 1, index)
            if self._fits(value):
                return value
        return self._branches[0].fill(passage, depth + 1, index + 1)

    def find_all(self, passage: Passage, depth: int) -> list[Any]:
        found = (value for b in self._branches for value in b.find_all(passage, depth))
        return [value for value in found if self._fits(value)]

    def accepts(self, value: Any) -> bool:
        accepted = sum(branch.accepts(value) for branch in self._branches)
        return accepted == 1 if self._exactly_one else accepted > 0


class RefNode:
    """A `$ref`, compiled when first reached so that recursive schemas end."""

    def __init__(self, root: JsonObject, schema: JsonObject | bool, hint: Hint) -> None:
        self._arguments = (root, schema, hint)
        self._target: Node | None = None

    def _node(self) -> Node:
        if self._target is None:
            self._target = compile_node(*self._arguments)
        return self._target

    def find(self, passage: Passage, depth: int) -> Any:
        return MISSING if depth > _DEEP else self._node().find(passage, depth + 1)

    def fill(self, passage: Passage, depth: int, index: int = 0) -> Any:
        return self._node().fill(passage, depth + 1, index)

    def find_all(self, passage: Passage, depth: int) -> list[Any]:
        return [] if depth > _DEEP else self._node().find_all(passage, depth + 1)

    def accepts(self, value: Any) -> bool:
        return self._node().accepts(value)


def compile_node(root: JsonObject, schema: JsonObject | bool, hint: Hint | None = None) -> Node:
    """The node for a schema within its root document."""
    hint = hint or Hint()
    if is_object(schema):
        schema = flatten(root, schema)
    if isinstance(schema, bool):
        return AnyNode({}, hint)
    if "$ref" in schema:
        rest = without(schema, "$ref", *ANNOTATIONS)
        target = resolve(root, schema["$ref"])
        return RefNode(root, merge(target, rest) if rest else target, hint)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _union(root, schema, key, hint)
    if "const" in schema or "enum" in schema:
        return _enum(root, schema, hint)
    return _typed(root, schema, hint)


def _union(root: JsonObject, schema: JsonObject, key: str, hint: Hint) -> Node:
    rest = without(schema, key, *ANNOTATIONS)
    branches: list[Node] = []
    for branch in schema[key]:
        whole = branch
        if rest and is_object(branch) and "$ref" in branch:
            whole = merge(resolve(root, branch["$ref"]), without(branch, "$ref"))
        whole = merge(rest, whole) if rest else whole
        if whole is not False:
            branches.append(compile_node(root, whole, hint))
    return UnionNode(branches, exactly_one=key == "oneOf") if len(branches) > 1 else branches[0]


def _enum(root: JsonObject, schema: JsonObject, hint: Hint) -> Node:
    values = [schema["const"]] if "const" in schema else list(schema["enum"])
    rest = without(schema, "const", *ANNOTATIONS) if "const" in schema else schema
    rest = without(rest, "enum", *ANNOTATIONS)
    if rest:
        check = _typed(root, rest, hint)
        values = [value for value in values if check.accepts(value)] or values
    return EnumNode(values)


def _typed(root: JsonObject, schema: JsonObject, hint: Hint) -> Node:
    kind: Any = schema.get("type") or _implied_type(schema)
    if is_array(kind):
        branches = [_typed(root, {**schema, "type": one}, hint) for one in kind]
        return UnionNode(branches, exactly_one=False) if len(branches) > 1 else branches[0]
    match kind:
        case "object":
            return ObjectNode(root, schema)
        case "array":
            return ArrayNode(root, schema, hint)
        case "integer" | "number":
            return NumberNode(schema, hint, integer=kind == "integer")
        case "boolean":
            return BooleanNode(hint)
        case "null":
            return NullNode()
        case "string":
            return StringNode(schema, hint)
        case _:
            return AnyNode(schema, hint)


def _implied_type(schema: JsonObject) -> str:
    if "properties" in schema or "required" in schema or "additionalProperties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    if "minimum" in schema or "maximum" in schema or "multipleOf" in schema:
        return "number"
    return "string" if "minLength" in schema or "pattern" in schema else "any"


@lru_cache(maxsize=1024)
def _compiled(schema: bytes) -> Node:
    parsed: JsonObject = orjson.loads(schema)
    return compile_node(parsed, parsed)


def filler(schema: JsonObject) -> Node:
    """The compiled schema, from a cache of the most recent ones."""
    return _compiled(orjson.dumps(schema))
