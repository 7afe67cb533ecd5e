"""Finds what a page would fetch from elsewhere: scripts, styles, fonts, pictures, frames, of HTML and CSS files.

python docs/_extensions/addresses.py docs/_build/html
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

ELSEWHERE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?//|\s*(?:https?|ftp|wss?):", re.IGNORECASE)
STYLE = re.compile(r"""@import\s+(?:url\()?\s*["']?([^"');\s]+)|url\(\s*["']?([^"')\s]+)""", re.IGNORECASE)
MODULE = re.compile(r"""(?:\bimport\b\s*(?:[\w{}*,\s]+\bfrom\b\s*)?|\bimport\(\s*|\bfetch\(\s*)["'`]([^"'`\s]+)["'`]""")
FETCHED = {"src", "srcset", "poster", "data", "background", "formaction", "action"}  # whatever element has them
PULLED = {"stylesheet", "icon", "preload", "prefetch", "modulepreload", "preconnect", "dns-prefetch", "manifest"}


class Page(HTMLParser):
    """Collects the addresses that a browser fetches of its own accord; links to click are none of them."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[str] = []
        self.within = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = {name: value or "" for name, value in attributes}
        self.within = tag if tag in ("style", "script") else ""
        for name, value in values.items():
            if name in FETCHED:
                self.found += re.split(r"\s*,\s+", value) if name == "srcset" else [value]
            elif name == "style":
                self.found += in_style(value)
            elif name in ("href", "xlink:href") and tag in ("image", "use"):
                self.found.append(value)
        if tag == "link" and PULLED & set(values.get("rel", "").lower().split()):
            self.found.append(values.get("href", ""))
        if tag == "meta" and values.get("http-equiv", "").lower() == "refresh":
            self.found.append(values.get("content", "").partition("url=")[2])

    def handle_endtag(self, tag):
        self.within = ""

    def handle_data(self, data):
        if self.within == "style":
            self.found += in_style(data)
        elif self.within == "script":
            self.found += MODULE.findall(data)


def in_style(text: str) -> list[str]:
    """Addresses of a style sheet: imports, fonts, pictures."""
    return [first or second for first, second in STYLE.findall(text)]


def outside(text: str, kind: str) -> list[str]:
    """Addresses elsewhere that a file of the kind `.html`, `.css` or `.js` fetches."""
    found = {".html": lambda: Page(text).found, ".css": lambda: in_style(text), ".js": lambda: MODULE.findall(text)}
    return [address for address in found[kind]() if ELSEWHERE.match(address)]


def look(folder: Path) -> list[str]:
    """FILE: ADDRESS of everything that a folder would fetch from elsewhere.

    Raises:
        ValueError: no page in the folder.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".html", ".css", ".js")]
    if not any(path.suffix == ".html" for path in files):
        raise ValueError(f"{folder} holds no page")
    return [f"{path}: {address}" for path in files for address in outside(path.read_text(), path.suffix)]


if __name__ == "__main__":
    if fetched := look(Path(sys.argv[1])):
        sys.exit("\n".join(["fetched from elsewhere:", *fetched]))
