"""All entries by name, what each of them reads, and which are slow."""
from collections.abc import Callable

from tests.fuzz import dataset_entries, file_entries
from tests.fuzz.cases import Entry

# Each makes the entry in an empty folder.
ENTRIES: dict[str, Callable[[str], Entry]] = {**file_entries.ENTRIES, **dataset_entries.ENTRIES}

# For the table.
ABOUT: dict[str, str] = {**file_entries.ABOUT, **dataset_entries.ABOUT}

# Slow entries get this many times fewer inputs.
SLOW: dict[str, int] = {}
