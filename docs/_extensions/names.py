"""Public names that a text sets as code become links to their place in the API."""

import re

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

from lgn import _names

NAME = re.compile(r"(?:lgn\.)?(?P<name>[A-Za-z_]\w*)(?P<rest>(?:\.[A-Za-z_]\w*)*)(?:\(.*\))?")


class LinkNames(SphinxTransform):
    """`lgn.fit`, `Lagrangian.solve` or `MeanValue(2)`, wherever they are not in a link or a title already."""

    default_priority = 500

    def apply(self) -> None:
        """Wraps each literal that is a public name."""
        for literal in list(self.document.findall(nodes.literal)):
            if target := target_of(literal.astext()):
                above = literal.parent
                if not isinstance(above, nodes.reference | addnodes.pending_xref | nodes.title | nodes.term):
                    reference = addnodes.pending_xref(
                        "", refdomain="py", reftype="obj", reftarget=target, refwarn=False, refdoc=self.env.docname
                    )
                    literal.replace_self(reference)
                    reference += literal


def target_of(text: str) -> str | None:
    """The full name that a text stands for, or None."""
    match = NAME.fullmatch(text)
    if match is None or not (match["name"] in _names.MODULE or (match["name"] in _names.MODULES and match["rest"])):
        return None
    return f"lgn.{_names.MODULES.get(match['name'], match['name'])}{match['rest']}"


def setup(app):
    """Adds the transform."""
    app.add_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
