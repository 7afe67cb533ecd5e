"""Notebooks in a build of several processes: dealt out evenly, and a cache that stands before they start."""

from jupyter_cache import get_cache
from sphinx.util.parallel import make_chunks


def share(app, env, docnames: list[str]) -> None:
    """Deals the notebooks out among the processes that read pages; in the order of names one process had them all."""
    if not docnames:
        return
    size = len(make_chunks(docnames, app.parallel)[0])
    notebooks = [name for name in docnames if name.startswith("tutorials/")]
    others = [name for name in docnames if name not in notebooks]
    shared: list[str] = []
    for process in range(app.parallel):
        own = notebooks[process :: app.parallel]
        shared += own + [others.pop(0) for _ in range(min(size - len(own), len(others)))]
    docnames[:] = shared + others


def open_cache(app, env, docnames: list[str]) -> None:
    """Makes the tables of the cache: two processes that make them at once fail, the later with "already exists"."""
    get_cache(env.mystnb_config.execution_cache_path).db.dispose()  # no open connection is handed to a fork


def setup(app) -> dict[str, bool]:
    """Registers what runs before pages are read."""
    app.connect("env-before-read-docs", share)
    app.connect("env-before-read-docs", open_cache)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
