"""What mkdocs is told beside mkdocs.yml: pages from outside docs/, the tour, and links meant for GitHub."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {"README.md": "index.md", "BUILD.md": "BUILD.md", "CHANGELOG.md": "CHANGELOG.md"}
"""File of the repository -> page of the site."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are no Markdown in docs/."""
    for name, page in OUTSIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=linked_from_the_root(text)))
    body, resources = MarkdownExporter().from_filename(str(ROOT / "docs" / "tour.ipynb"))
    for name, content in resources["outputs"].items():
        files.append(File.generated(config, f"tour/{name}", content=content))
    files.append(File.generated(config, "tour.md", content=body.replace("](output_", "](tour/output_")))
    files.remove(files.get_file_from_path("tour.ipynb"))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A page's text with its links to files outside docs/ as links within the site."""
    up = "../" * page.file.src_uri.count("/")
    markdown = re.sub(r"\]\(((?:\.\./)+)([A-Z]+\.md)", lambda m: f"]({up}{OUTSIDE[m[2]]}", markdown)
    markdown = re.sub(r"\]\(((?:[\w./-]*/)?)tour\.ipynb", r"](\1tour.md", markdown)
    # Files of the package are not part of the site: their paths are told instead.
    return re.sub(r"\[([^\]]*)\]\((?:\.\./)+(tf_fullbatch/[^)]*)\)", r"\1 (`\2`)", markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A page's HTML: no line ends within the name of a flag, and what cells of the tour print looks unlike code."""
    if page.file.src_uri == "tour.md":
        content = content.replace('"language-text highlight"', '"language-text highlight output"')
    return re.sub(r"<code>(--\w+)", r'<code><span class="flag">\1</span>', content)


def linked_from_the_root(text: str) -> str:
    """Text of a file beside docs/, its links as from within docs/."""
    text = re.sub(r"\]\(docs/", "](", text)
    return re.sub(r"\]\(([A-Z]+\.md)", lambda m: f"]({OUTSIDE.get(m[1], m[1])}", text)
