"""An import-linter contract that lists what may be imported, where the built-in ones list what may not."""

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OnlyContract(Contract):
    """Each of ``modules`` imports nothing but the standard library, itself and ``may_import``.

    Names cover the modules below them; ``*`` in ``modules`` stands for one part of a name, and a name that
    matches nothing keeps the contract. Imports are judged one by one, not along chains.
    """

    type_name = "only"

    modules: Any = fields.ListField(subfield=fields.StringField())
    may_import: Any = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        found = [
            (importer, imported)
            for expression in self.modules
            for package in sorted(graph.find_matching_modules(expression))
            for importer in sorted({package, *graph.find_descendants(package)})
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not _is_allowed(imported, (package, *self.may_import))
        ]
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["found"]:
            output.print_error(f"{importer} must not import {imported}")


def _is_allowed(imported: str, allowed: tuple[str, ...]) -> bool:
    if imported.split(".", maxsplit=1)[0] in sys.stdlib_module_names:
        return True
    return any(imported == name or imported.startswith(f"{name}.") for name in allowed)
