"""Mathematics as MathML, which browsers draw themselves: no script, no fonts, nothing to fetch."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.math import get_node_equation_number


def inline(self, node: nodes.math) -> None:
    """A formula within a line."""
    self.body.append(f'<span class="math notranslate">{convert(node.astext())}</span>')
    raise nodes.SkipNode


def block(self, node: nodes.math_block) -> None:
    """A formula on a line of its own, with its number at the right where it has a label."""
    self.body.append(self.starttag(node, "div", CLASS="math notranslate"))
    self.body.append(convert(node.astext(), display="block"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Adds the renderer that conf.py names."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
