//go:build race

package wal_test

// every is how many of the states of a long row a test looks at: one in so many.
const every = 11
