"""The documentation as a site, built as `make docs` does: nothing missing, nothing from elsewhere."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

import check_placeholders
import documentation_site
from dpdau.config import describe_settings

ROOT = Path(__file__).parents[2]
LOADING = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "link": "href",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
    "embed": "src",
    "form": "action",
}
"""What makes a browser ask for something by itself, and where."""


class Seen(HTMLParser):
    """What a page loads, the ids that it has, and its text but for code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.prose: list[str] = []
        self._in_code = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._in_code |= tag in {"pre", "script"}
        self.ids.add(values.get("id", ""))
        if tag in LOADING and (address := values.get(LOADING[tag])):
            self.addresses.append(address)
        self.addresses += re.findall(r"url\(([^)]+)\)", values.get("style", ""))

    def handle_endtag(self, tag: str) -> None:
        self._in_code &= tag not in {"pre", "script"}

    def handle_data(self, data: str) -> None:
        if not self._in_code:
            self.prose.append(data)


def build_site(folder: Path, **changed: object) -> None:
    """Build it as `make docs` does."""
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True, **changed)
    config.plugins.on_startup(command="build", dirty=False)
    build(config)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    build_site(folder)
    return folder


def pages(site: Path) -> dict[str, str]:
    return {
        str(path.relative_to(site)): path.read_text(encoding="utf-8")
        for path in site.rglob("*.html")
    }


def article(page: str) -> str:
    """A page's own content, without what surrounds it."""
    return page[page.index("<article") : page.index("</article>")]


def is_elsewhere(address: str) -> bool:
    return re.match(r"\s*[\"']?(?:https?:)?//", address) is not None


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("[a](no-such-page.md)", "no-such-page.md"),
        ("[a](privacy.md#no-such-heading)", "no-such-heading"),
        ("![a](images/no-such-image.png)", "no-such-image.png"),
    ],
)
def test_what_is_missing_stops_the_build(
    line: str, missing: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    documents = shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (documents / "quickstart.md").open("a", encoding="utf-8") as page:
        page.write(f"\n{line}\n")

    with pytest.raises(Abort):
        build_site(tmp_path / "site", docs_dir=str(documents))

    assert missing in caplog.text


def test_every_document_is_a_page(site: Path) -> None:
    built = set(pages(site))
    documents = {
        str(path.relative_to(ROOT / "docs").with_suffix(".html"))
        for path in (ROOT / "docs").rglob("*.md")
    }
    expected = {name.replace("README", "index") for name in documents}

    assert expected | {"CHANGELOG.html", "CONTRIBUTING.html", "HANDOFF.html"} <= built


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for name, page in pages(site).items():
        loaded = Seen(page).addresses
        assert loaded, name
        assert not [each for each in loaded if is_elsewhere(each)], name


def test_no_style_loads_anything_from_another_host(site: Path) -> None:
    styles = list(site.rglob("*.css"))
    assert styles
    for path in styles:
        text = path.read_text(encoding="utf-8")
        targets = re.findall(r"@import\s+(\S+)", text) + re.findall(r"url\(([^)]+)\)", text)
        assert not [each for each in targets if is_elsewhere(each)], path


def test_a_page_that_loads_from_another_host_would_be_found() -> None:
    page = '<script src="//cdn.example/x.js"></script><img src="a.png">'

    assert [is_elsewhere(each) for each in Seen(page).addresses] == [True, False]


def test_what_is_searched_lies_beside_the_pages(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")

    assert "flippancy" in index
    assert '"location":"tutorial.html' in index.replace(" ", "")
    assert (site / "assets" / "iframe-worker" / "shim.min.js").is_file()


def test_every_setting_in_a_document_leads_to_its_row(site: Path) -> None:
    reference = Seen((site / "configuration.html").read_text(encoding="utf-8")).ids
    names = {setting.name for setting in describe_settings()}

    assert names <= reference
    for name, page in pages(site).items():
        if name != "Placeholders.html":
            text = article(page)
            found = {each for _, each in check_placeholders.unknown_placeholders(text, [])}
            assert not found & names, name
    assert (
        'href="../configuration.html#DATA_DIR"'
        in (site / "how-to" / "export-sketches.html").read_text()
    )


def test_no_list_or_table_is_shown_as_text(site: Path) -> None:
    for name, page in pages(site).items():
        for text in Seen(article(page)).prose:
            assert not re.search(r"\n\s*(?:[-*+] |\d+\. |\||```)", text), (name, text)


def test_links_to_code_lead_to_pages_with_that_code(site: Path) -> None:
    page = (site / "dashboard.html").read_text(encoding="utf-8")

    assert 'href="source/src/dpdau/privacy/ratios.py.html"' in page
    assert "Fieller" in (site / "source/src/dpdau/privacy/ratios.py.html").read_text()


@pytest.mark.parametrize(
    ("markdown", "path", "expected"),
    [
        ("[c](../CHANGELOG.md#a)", "docs/x.md", "[c](CHANGELOG.md#a)"),
        ("[c](../../CHANGELOG.md)", "docs/privacy/x.md", "[c](../CHANGELOG.md)"),
        ("[p](docs/privacy.md)", "HANDOFF.md", "[p](privacy.md)"),
        ("[docs/cli.md](docs/cli.md#run)", "HANDOFF.md", "[Commands](cli.md#run)"),
        ("[a\nb](docs/cli.md)", "HANDOFF.md", "[a\nb](cli.md)"),
        ("[`deploy`](../deploy) and", "docs/x.md", "`deploy` and"),
        ("![a](images/growth.svg)", "docs/x.md", "![a](images/growth.svg)"),
        ("[p](docs/none.md)", "HANDOFF.md", "[p](docs/none.md)"),
        ("[p](https://a.example/b.md)", "HANDOFF.md", "[p](https://a.example/b.md)"),
        ("```\n[p](docs/privacy.md)\n```\n", "HANDOFF.md", "```\n[p](docs/privacy.md)\n```\n"),
        (
            "[t](../README.md#notation)",
            "src/dpdau/privacy/strategy/README.md",
            "[t](../README.md#notation)",
        ),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(
    markdown: str, path: str, expected: str
) -> None:
    assert documentation_site.rewritten_links(markdown, path) == expected


@pytest.mark.parametrize(
    ("markdown", "page", "expected"),
    [
        ("{{DELTA}}", "a.md", "[`DELTA`](configuration.md#DELTA)"),
        ("`{{DELTA}}`", "b/a.md", "[`DELTA`](../configuration.md#DELTA)"),
        ("`{{DATA_DIR}}/x`", "a.md", "[`DATA_DIR/x`](configuration.md#DATA_DIR)"),
        ("```\n{{DELTA}}\n```\n", "a.md", "```\n{{DELTA}}\n```\n"),
    ],
)
def test_settings_in_double_braces_become_links(markdown: str, page: str, expected: str) -> None:
    assert documentation_site.linked_settings(markdown, page) == expected
