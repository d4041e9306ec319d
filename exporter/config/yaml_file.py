"""A YAML file in, text in lists and mappings out; or one message that says where it is wrong and quotes only names."""

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from exporter.validation import SchemaError, showable

_HARMLESS = re.compile(r"(?:[^']|'(?:.|\\\w+|<[a-z ]+>)')*")
"""Messages of PyYAML that quote only single characters and its own names. Anything longer may be a part of a key."""


def read_yaml(path: Path) -> Any:
    """Return what is in a file; an empty mapping if it is empty. Raises SchemaError, without the file's name.

    Each number, boolean and date is the text in the file, because YAML 1.1 would read 0500 as 320, and ``no`` as false.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            content = yaml.load(file, Loader=_Loader)  # noqa: S506 - it is a SafeLoader
    except OSError as error:
        raise SchemaError("", (error.strerror or "cannot be read").lower()) from None
    except UnicodeDecodeError:
        raise SchemaError("", "is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SchemaError(where, _problem(error)) from None
    except yaml.reader.ReaderError as error:
        raise SchemaError("", f"character U+{error.character:04X} is not allowed in YAML") from None
    except RecursionError:
        raise SchemaError("", "is nested too deeply") from None
    return {} if content is None else content


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "is not YAML"
    if problem.startswith("but "):
        problem = f"{error.context}, {problem}"
    return problem if _HARMLESS.fullmatch(problem) else problem.partition("'")[0].strip(' "')


class _Loader(yaml.SafeLoader):
    """Reads text, and refuses what PyYAML accepts or fails on: a key given twice, a tagged 30th of February."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML offers no other way to take a resolver away
        first: [one for one in resolvers if one[0].endswith((":null", ":merge"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, ValueError):
            kind = node.tag.rpartition(":")[2].replace("timestamp", "date")
            raise ConstructorError(None, None, f"not a valid {kind}", node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            name = str(key.value)
            if name in seen:
                raise ConstructorError(None, None, f"{showable(name)}: given twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)
