"""What operators are told of live queries."""
