"""Hooks of MkDocs, which `mkdocs.yml` names: what makes a site of documents for a Git host.

Documents link to files outside of `docs`, such as the changelog and modules; these become pages of
the site, so that every link works in both places. Settings in double braces become links to the
reference.
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["linked_settings", "on_files", "on_page_markdown", "page_of", "rewritten_links"]

ROOT = Path(__file__).parents[1]

_DOCUMENTS = "docs/"
_SOURCES = "source/"
_LITERAL = "Placeholders.md"
"""The page that explains the double braces shows them."""

# The text of a link may have begun on the line before.
_LINK = re.compile(r"(?:\[[^][]*)?\]\((?P<path>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")
_FILE_NAME = re.compile(r"[\w/-]+\.md")
_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^\s*(?:`{3,}|~{3,})")
_SETTING = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_CODE_OR_SETTING = re.compile(r"`[^`\n]*\{\{\s*\w+\s*\}\}[^`\n]*`|\{\{\s*\w+\s*\}\}")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add a page for everything outside of `docs` that a document links to, and so on."""
    waiting = [_repository_path(file.src_uri) for file in files.documentation_pages()]
    named = (each for each in _navigated(config.nav) if not files.get_file_from_path(each))
    waiting += [each for each in named if (ROOT / each).is_file()]
    known = {page_of(path) for path in waiting if path.startswith(_DOCUMENTS)}
    while waiting:
        path = waiting.pop()
        text = (ROOT / path).read_text(encoding="utf-8")
        if page_of(path) not in known:
            known.add(page_of(path))
            files.append(File.generated(config, page_of(path), content=_content(path, text)))
        if path.endswith(".md"):
            outside = (each for each in _links(path, text) if not each.startswith(_DOCUMENTS))
            waiting += [each for each in outside if page_of(each) not in known]
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Turn what a Git host shows into what the site shows."""
    uri = page.file.src_uri
    markdown = rewritten_links(markdown, _repository_path(uri))
    return markdown if uri == _LITERAL else linked_settings(markdown, uri)


def page_of(path: str) -> str:
    """The site's page for a file of the repository."""
    if path.startswith(_DOCUMENTS):
        return path.removeprefix(_DOCUMENTS)
    if not path.endswith(".md"):
        path += ".md"
    return _SOURCES + path if "/" in path else path


def rewritten_links(markdown: str, path: str) -> str:
    """A document of the repository with its links pointing to pages of the site, by their titles."""
    here = posixpath.dirname(page_of(path))

    def rewrite(match: re.Match[str]) -> str:
        target = _resolved(path, match["path"])
        text = match[0].partition("](")[0]
        if target is None:
            # A folder has no page: its name remains.
            return text[1:] if text and _leads_to_folder(path, match["path"]) else match[0]
        if _FILE_NAME.fullmatch(text, 1):
            text = f"[{_title(target)}"
        address = posixpath.relpath(page_of(target), here or ".")
        return f"{text}]({address}{match['anchor'] or ''})"

    return _outside_fences(markdown, lambda line: _LINK.sub(rewrite, line))


def linked_settings(markdown: str, page: str) -> str:
    """A page with the settings in double braces as links to their rows in the reference."""
    reference = posixpath.relpath("configuration.md", posixpath.dirname(page) or ".")

    def link(match: re.Match[str]) -> str:
        shown = _SETTING.sub(r"\1", match[0]).strip("`")
        (name, *_) = _SETTING.findall(match[0])
        return f"[`{shown}`]({reference}#{name})"

    return _outside_fences(markdown, lambda line: _CODE_OR_SETTING.sub(link, line))


def _outside_fences(markdown: str, change: Callable[[str], str]) -> str:
    return "".join(change(line) if is_text else line for line, is_text in _lines(markdown))


def _lines(markdown: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is text and not code."""
    fenced = False
    for line in markdown.splitlines(keepends=True):
        is_fence = _FENCE.match(line) is not None
        fenced ^= is_fence
        yield line, not (fenced or is_fence)


def _links(path: str, text: str) -> Iterator[str]:
    """The files of the repository that a document links to."""
    for line, is_text in _lines(text):
        for match in _LINK.finditer(line) if is_text else ():
            if (resolved := _resolved(path, match["path"])) is not None:
                yield resolved


def _title(path: str) -> str:
    """The heading of a document."""
    heading = _HEADING.search((ROOT / path).read_text(encoding="utf-8"))
    return heading[1] if heading else path


def _resolved(path: str, target: str) -> str | None:
    """The file of the repository that a link in a document leads to, if there is one."""
    resolved = _joined(path, target)
    return resolved if (ROOT / resolved).is_file() else None


def _leads_to_folder(path: str, target: str) -> bool:
    return (ROOT / _joined(path, target)).is_dir()


def _joined(path: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def _repository_path(uri: str) -> str:
    """The file of the repository that a page shows."""
    if (ROOT / _DOCUMENTS / uri).is_file():
        return _DOCUMENTS + uri
    path = uri.removeprefix(_SOURCES)
    return path if (ROOT / path).is_file() else path.removesuffix(".md")


def _content(path: str, text: str) -> str:
    """A document as it is; any other file as code, which the search leaves out."""
    if path.endswith(".md"):
        return text
    front = "---\nsearch:\n  exclude: true\n---\n"
    return f"{front}# {path}\n\n`````{Path(path).suffix.removeprefix('.')}\n{text}\n`````\n"


def _navigated(nav: object) -> Iterator[str]:
    """The pages that the navigation names."""
    match nav:
        case str():
            yield nav
        case list():
            for each in nav:
                yield from _navigated(each)
        case dict():
            for each in nav.values():
                yield from _navigated(each)
