"""What the site's build adds to MkDocs: links to files of the repository, and a check that pages
fetch nothing."""

import logging
import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\.?/[^)#\s]+)(#[^)\s]*)?\)")
FETCHED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"?(?:https?:)?//[^\s\">]+")
log = logging.getLogger("mkdocs.hooks")  # a warning fails a strict build


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Shows the path in place of a link to a file that is no page of the site, and warns where
    nothing is at that path.

    Who reads a page in the repository can follow the link; the site does not contain its target."""
    docs = Path(config["docs_dir"]).resolve()
    here = docs / Path(page.file.src_uri).parent

    def shown(link: re.Match[str]) -> str:
        target = (here / link[2]).resolve()
        if target.is_relative_to(docs) and target.suffix == ".md":
            return link[0]
        path = target.relative_to(docs.parent)
        if not target.exists():
            log.warning("%s links to %s, which does not exist", page.file.src_uri, path)
        label = link[1].strip("`")
        return f"`{path}`" if label == str(path) else f"{link[1]} (`{path}`)"

    return LINK.sub(shown, markdown)


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """Warns where a page would load a file from another server; the site is read without a network,
    too."""
    for tag in FETCHED.findall(output):
        log.warning("%s would fetch %s", page.file.src_uri, tag)
    return output
