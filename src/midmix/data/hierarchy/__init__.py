"""Classes in groups: by a column, a file, the shapes of digits, or WordNet."""

from midmix.data.hierarchy.grouped import Grouped, load_grouped
from midmix.data.hierarchy.hierarchy import Hierarchy, hierarchy_of, read_mapping

__all__ = ["Grouped", "Hierarchy", "hierarchy_of", "load_grouped", "read_mapping"]
