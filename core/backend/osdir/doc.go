// Package osdir makes directories of the operating system's, for backends that keep a log in one.
package osdir
