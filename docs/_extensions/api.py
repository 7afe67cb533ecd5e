"""API pages, written when the site is built: one for each folder of the table of public names, and for each module."""

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.transforms import SphinxTransform

from lgn import _names, systems
from lgn.densities.density import config_of

FOLDERS = {
    "graphs": "Graphs, lattices, meshes, networks, and the tables of what a density reads",
    "densities": "Densities, given or learned",
    "data": "States, windows of a recording, units, noise",
    "assembly": "Domains, functionals, discrete gradients, the matrix of masses",
    "solvers": "Solving M a = f",
    "mechanics": "Systems: Lagrangians, energies, structures, black boxes",
    "motion": "Integrators, and following a motion",
    "devices": "Many devices",
    "checkpoint": "Saving and loading",
    "learning": "Training: losses, phases, fits",
}
PACKAGE = Path(_names.__file__).parent
GOOGLE = Config(napoleon_use_ivar=True, napoleon_use_rtype=False)
SECTIONS = re.compile(r"(Args|Returns|Raises|Yields|Warns|Attributes|Example|Examples|Note|Notes):$")
MARKUP = re.compile(r"[*|\\]|(?<=\w)_(?!\w)")


def write(app) -> None:
    """Every page anew, into the folder `api`, which git ignores."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    texts = pages()
    for old in folder.glob("*.rst"):
        if old.stem not in texts:
            old.unlink()
    for name, text in texts.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text() != text:  # a page that is as it was is not read again
            path.write_text(text)


def pages() -> dict[str, str]:
    """File name -> text: the folders in the order of the flow, then the modules that users call by name."""
    folders = dict.fromkeys(home.partition(".")[0] for home in _names.HOME if home not in _names.MODULES.values())
    found = {f"{number:02}-{name}": page(name) for number, name in enumerate(folders)}
    modules = {name: [f"lgn.{place}"] for name, place in _names.MODULES.items()}
    modules["systems"] = [f"lgn.systems.{module.name}" for module in pkgutil.iter_modules(systems.__path__)]
    return found | {f"module-{name}": module_page(f"lgn.{name}", parts) for name, parts in modules.items()}


def page(folder: str) -> str:
    """A folder: its modules in the order of the table, each with its public names as `lgn.NAME`."""
    parts = [title(folder.capitalize(), "="), f"{FOLDERS[folder]}.", ".. py:currentmodule:: lgn"]
    for home, names in _names.HOME.items():
        if home.startswith(f"{folder}."):
            parts += [*heading(f"lgn.{home}"), *(entry(name) for name in names)]
    return "\n\n".join(parts) + "\n"


def module_page(name: str, parts: list[str]) -> str:
    """A module that users call by its name, or several of them on one page; public names are there as `lgn.NAME`."""
    found = [title(name, "=")]
    for part in parts:
        public = _names.HOME.get(part.removeprefix("lgn."), [])
        found += [title(part.removeprefix("lgn."), "-")] * (len(parts) > 1)
        found += [
            f".. automodule:: {part}\n   :members:" + f"\n   :exclude-members: {', '.join(public)}" * bool(public)
        ]
        found += [entry(x) for x in public]
    return "\n\n".join(found) + "\n"


def entry(name: str) -> str:
    """A public name, with its methods if it is a class; `config` is explained where `config_of` is."""
    found = _names.find(name)
    if not inspect.isclass(found):
        return f".. auto{'function' if callable(found) else 'data'}:: lgn.{name}"
    derived = vars(found).get("config") is config_of
    return f".. autoclass:: lgn.{name}\n   :members:" + "\n   :exclude-members: config" * derived


def heading(module: str) -> list[str]:
    """The name of a module as its docstring writes it, and what it says of it."""
    first = inspect.getdoc(importlib.import_module(module)).partition("\n")[0]
    name, colon, rest = first.partition(": ")
    return [title(name, "-"), plain_text(rest[0].upper() + rest[1:])] if colon else [title(first.rstrip("."), "-")]


def title(text: str, line: str) -> str:
    """A heading."""
    return f"{text}\n{line * len(text)}"


def as_written(app, what, name, thing, options, arguments, returned) -> tuple[str, str] | None:
    """The signature as the source has it, with the short names of its types; of a class that of its constructor, or its
    fields, which a metaclass of flax hides."""
    function = vars(thing).get("__init__") if what == "class" else inspect.unwrap(getattr(thing, "__func__", thing))
    if inspect.isfunction(function) and function.__code__.co_filename.startswith(str(PACKAGE)):
        tree = source(function)
        if isinstance(tree, ast.FunctionDef):
            if what in ("class", "method") and tree.args.args[0].arg == "self":
                del tree.args.args[0]
            return f"({ast.unparse(tree.args)})", ast.unparse(tree.returns) if tree.returns and what != "class" else ""
    if what == "class" and (names := [*getattr(thing, "_fields", getattr(thing, "__dataclass_fields__", ()))]):
        written = {ast.unparse(x.target): field(x) for x in source(thing).body if isinstance(x, ast.AnnAssign)}
        return (f"({', '.join(written[x] for x in names)})", "") if set(names) <= set(written) else None
    return ("()", "") if what == "class" and arguments and "*args" in arguments else None


def source(thing) -> ast.AST:
    """The syntax tree of a function or class."""
    return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]


def field(node: ast.AnnAssign) -> str:
    """A field of a tuple or dataclass as an argument; what a factory makes anew as a call of it."""
    value = node.value
    if isinstance(value, ast.Call) and ast.unparse(value.func).endswith("field"):
        made = {word.arg: ast.unparse(word.value) for word in value.keywords}
        default = f"{made['default_factory']}()" if "default_factory" in made else made.get("default")
    else:
        default = value and ast.unparse(value)
    return f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}" + (f" = {default}" if default else "")


class ShortArrays(SphinxTransform):
    """Types of attributes, which are written out of what runs, with arrays as the source names them."""

    default_priority = 500

    def apply(self) -> None:
        """Within signatures alone."""
        for found in self.document.findall(addnodes.desc_signature):
            for text in list(found.findall(nodes.Text)):
                text.parent.replace(text, nodes.Text(re.sub(r"\bjax(lib)?\.(\w+\.)*Array\b", "Array", text)))


def as_restructured_text(app, what, name, thing, options, lines: list[str]) -> None:
    """Docstrings are plain text, in which reStructuredText would see markup: formulas stand as they are written, those
    that are indented as blocks, and what is between backticks is code."""
    found: list[str] = []
    section, formula = "", False
    for line in lines:
        if line[:1].strip():
            section, formula = (line if SECTIONS.match(line) else ""), False
        elif line.strip() and not section and not formula and found[-1:] == [""]:
            found += ["::", ""]
            formula = True
        plain = not formula and not section.startswith("Example")
        found.append(plain_text(line) if plain else line)
    what = "method" if what == "property" else what  # else all before its first colon would be taken for a type
    lines[:] = GoogleDocstring(found, GOOGLE, app, what, name, thing, options).lines()


def plain_text(line: str) -> str:
    """A line of prose without markup but code."""
    prose_and_code = line.split("`")
    parts = [MARKUP.sub(r"\\\g<0>", x) if i % 2 == 0 else f"``{x}``" for i, x in enumerate(prose_and_code)]
    return "".join(parts)


def setup(app):
    """Writes the pages before they are read."""
    app.connect("builder-inited", write)
    app.connect("autodoc-process-docstring", as_restructured_text)
    app.connect("autodoc-process-signature", as_written)
    app.add_transform(ShortArrays)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
