// Package repocheck holds no code, only tests of the repository itself: its
// makefile, its links, its wording, its modules, its tests. They run with
// all other tests and need make and a git checkout.
//
// Each check is a function from text to a list of problems, so that it is tested on
// bad examples before it is believed about the repository.
package repocheck
