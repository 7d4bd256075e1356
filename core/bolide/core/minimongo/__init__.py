"""MongoDB's semantics on plain values: selectors, sorting, projections, modifiers."""
