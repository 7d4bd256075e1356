"""Documents as a program looks at them: collections, queries, and how results change."""
