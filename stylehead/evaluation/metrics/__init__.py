"""One file a metric, named as its column: a pure function, and how a row of the table is measured by it."""
