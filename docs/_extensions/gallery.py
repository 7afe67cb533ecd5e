"""The gallery: a tile for every experiment, from what its file states; `lgn list` reads the same."""

import re

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from lgn.harness import catalogue


class Gallery(SphinxDirective):
    """Tiles in the order of the names: picture, sentence, published beside ours, the command."""

    def run(self) -> list[nodes.Node]:
        """One container; its tiles are laid out by site.css."""
        entries = catalogue.entries()
        for entry in entries:
            self.env.note_dependency(entry.path)  # where an experiment changes, the page is made anew
        return [nodes.container("", *map(tile, entries), classes=["gallery"])]


def tile(entry: catalogue.Entry) -> nodes.container:
    """An experiment.

    Raises:
        ValueError: it states no headline.
    """
    if entry.headline is None:
        raise ValueError(f"{entry.path} has no HEADLINE; give it one, as docs/contributing.md shows")
    parts = [nodes.paragraph("", entry.name.replace("_", " "), classes=["name"])]
    if entry.headline.picture:
        image = nodes.image(uri=f"images/{entry.headline.picture}", alt=entry.sentence, loading="lazy")
        parts.insert(0, nodes.reference("", "", image, refuri=f"_images/{entry.headline.picture}", internal=True))
    parts += [nodes.paragraph("", entry.sentence), figures(entry), nodes.literal_block("", f"lgn run {entry.name}")]
    return nodes.container("", *parts, classes=["tile"])


def figures(entry: catalogue.Entry) -> nodes.paragraph:
    """The metric, published and reached."""
    found = nodes.paragraph("", "", nodes.literal("", entry.headline.metric), classes=["figures"])
    if entry.figure.published is not None:
        found += [nodes.Text(": published "), nodes.strong("", number(entry.figure.published)), nodes.Text(", here ")]
    else:
        found += nodes.Text(": here ")
    found += nodes.strong("", number(entry.headline.reached))
    if entry.headline.seconds:
        found += nodes.Text(f"; {duration(entry.headline.seconds)}")
    return found


def number(value: float) -> str:
    """Three digits, as the tables of results write them: 1.8e-6, and 1,170."""
    if 1000 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return re.sub(r"e([+-])0*", lambda e: "e-" if e[1] == "-" else "e", f"{value:.3g}")


def duration(seconds: float) -> str:
    """In seconds below two minutes, else in minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def setup(app):
    """Adds the directive."""
    app.add_directive("gallery", Gallery)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
