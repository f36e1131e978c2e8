"""All entries by name, what each of them reads, and which are slow."""
from collections.abc import Callable

from tests.fuzz import command_entries, dataset_entries, file_entries, model_entries, record_entries, served_entries
from tests.fuzz.cases import Entry

_MODULES = (file_entries, dataset_entries, record_entries, model_entries, served_entries, command_entries)

# Each makes the entry in an empty folder.
ENTRIES: dict[str, Callable[[str], Entry]] = {name: entry for module in _MODULES
                                              for name, entry in module.ENTRIES.items()}

# For the table.
ABOUT: dict[str, str] = {name: about for module in _MODULES for name, about in module.ABOUT.items()}

# Slow entries, which build graphs or run commands.
SLOW: frozenset[str] = frozenset(name for module in _MODULES[2:] for name in module.SLOW)
