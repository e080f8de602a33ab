"""What the linters do not hold."""

import ast
from pathlib import Path

import pytest

import dpdau

PACKAGE = Path(dpdau.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in MODULES]


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_module_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_module_lists_what_others_may_use_and_others_use_nothing_else(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dpdau."):
            source = _source(str(node.module))
            imported = {alias.name for alias in node.names}
            assert imported <= _offered(source), f"{path}:{node.lineno}"


def _source(module: str) -> Path:
    path = PACKAGE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _offered(path: Path) -> set[str]:
    """The names in a module's `__all__`, and the modules of a package."""
    offered = (
        {sibling.stem for sibling in path.parent.iterdir()} if path.stem == "__init__" else set()
    )
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            offered |= set(ast.literal_eval(node.value))
    return offered
