// Package fuzz looks for what nobody thought of: arbitrary bytes in place of a segment,
// damage of every kind to a valid log, and operations in any order with crashes between them.
// All of it runs on the simulated disk of package sim. Each fuzz target has a few inputs in
// testdata/fuzz that are tried on every test run; `make fuzz` searches for more.
package fuzz
