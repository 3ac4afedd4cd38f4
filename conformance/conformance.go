// Package conformance is what an IO backend has to pass: the contract of package backend
// sentence by sentence, the engine at work on it, and crashes and faults of every kind. It
// runs unchanged against any backend:
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, func() (backend.Backend, error) { return mine.New(), nil })
//	}
//
// The layers of crashes and faults run the test binary again as the process that dies. They
// know nothing of a backend but that it writes below a directory. See docs/conformance.md for
// what each of them proves.
package conformance

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chronik-go/wal/core/backend"
)

// Factory makes the backend under test. It is called once for every check, and once in every
// process that a crash layer starts.
type Factory func() (backend.Backend, error)

// Option changes what Run and Check do.
type Option func(*suite)

// Skip leaves out a check, or all checks of a group, by name: what t.Run would call it, like
// "Dir/LockExcludes". A name that there is not fails the suite. The reason is printed.
func Skip(name, reason string) Option {
	return func(s *suite) { s.skips = append(s.skips, skip{name: name, reason: reason}) }
}

// With adds another backend that must recover the same images to the same log.
func With(f Factory) Option { return func(s *suite) { s.others = append(s.others, f) } }

// suite is one run of the conformance suite.
type suite struct {
	factory Factory
	others  []Factory
	skips   []skip
	// command makes the process of a crash layer run this program again as far as this
	// suite: the arguments behind the program's name. nil: there is none.
	command []string
	// only, if set, is the one check to run.
	only string
	// patience is how long a call of the backend may take: it ends what hangs.
	patience time.Duration
	dirs     atomic.Int64 // made on a machine of the backend's own
	// dir, if set, is where to make directories that somebody else removes.
	dir string
	// kept, if set, is where the disk of a failure is left in the place of the temporary directory.
	kept string
	// test is the name of the test that calls Run.
	test string
}

type skip struct {
	name, reason string
	used         bool
}

func newSuite(f Factory, opts []Option) *suite {
	s := &suite{factory: f, patience: time.Minute}
	for _, o := range opts {
		o(s)
	}
	return s
}

// check is one property of a backend.
type check struct {
	group, name string
	// says is what the contract, or the documentation of the log, promises.
	says string
	run  func(t *T)
	// apart, if there is one, is the part of the check that changes its process, and gets
	// one of its own.
	apart func(t *T)
	// fuse: there is a part of the check, in durables, that needs a file system of its own.
	fuse bool
}

// fullName is what the check is called everywhere.
func (c check) fullName() string { return c.group + "/" + c.name }

// checks are all checks, in the order in which they run: what later ones build on first.
func checks() []check {
	var all []check
	for _, g := range [][]check{
		backendChecks(), dirChecks(), fileChecks(), queueChecks(), errorChecks(), allocChecks(), logChecks(), crashChecks(), faultChecks(),
	} {
		all = append(all, g...)
	}
	return all
}

// Run runs the whole suite, each check as a subtest. The test that calls it must do nothing
// before: it is run again, in processes of its own, up to this call.
func Run(t *testing.T, f Factory, opts ...Option) {
	t.Helper()
	s := newSuite(f, opts)
	s.runsIn(t)
	if isChild() {
		s.child()
	}
	byGroup := map[string][]check{}
	var groups []string
	for _, c := range checks() {
		if !c.asked() {
			continue
		}
		if byGroup[c.group] == nil {
			groups = append(groups, c.group)
		}
		byGroup[c.group] = append(byGroup[c.group], c)
	}
	for _, g := range groups {
		t.Run(g, func(t *testing.T) {
			for _, c := range byGroup[g] {
				t.Run(c.name, func(t *testing.T) {
					if reason, ok := s.skipped(c); ok {
						t.Skip(reason)
					}
					if g == groupCrash { // processes, each with a disk of its own
						t.Parallel()
					}
					s.run(c, t)
				})
			}
		})
	}
	if err := s.unknownNames(); err != nil {
		t.Error(err)
	}
}

// runsIn says which test the suite runs in, so that a process can be made that comes to it.
func (s *suite) runsIn(t *testing.T) {
	s.test = t.Name()
	s.command = []string{
		"-test.run=" + exactly(t.Name()), "-test.count=1", "-test.timeout=0",
		"-conformance.dir=" + *flagDir, fmt.Sprint("-conformance.seed=", *flagSeed), "-conformance.require=" + *flagRequire,
	}
}

// exactly is the pattern of -run that means one test.
func exactly(test string) string { return "^" + strings.ReplaceAll(test, "/", "$/^") + "$" }

// repeat is the command that runs one check again, with what was not left as it is without being told.
func (s *suite) repeat(check string, seed uint64) string {
	command := fmt.Sprintf("go test -run '%s' -conformance.seed=%d", exactly(s.test+"/"+check), seed)
	for _, name := range []string{"conformance.dir", "conformance.states", "conformance.cycles", "conformance.messages"} {
		if f := flag.Lookup(name); f.Value.String() != f.DefValue {
			command += fmt.Sprintf(" -%s=%s", name, f.Value)
		}
	}
	return command
}

// Check runs the contract checks, and those of the engine on the backend, outside a test, and
// returns all violations, joined; each begins with the name of its check. What needs a
// process of its own only Run can do.
func Check(f Factory, opts ...Option) error {
	s := newSuite(f, opts)
	var errs []error
	for _, c := range checks() {
		if _, ok := s.skipped(c); ok || !c.asked() || c.group == groupCrash || c.group == groupFaults {
			continue
		}
		r := newRecorder()
		r.do(func() { s.run(c, r) })
		if err := r.err(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.fullName(), err))
		}
	}
	return errors.Join(append(errs, s.unknownNames())...)
}

// run runs a check.
func (s *suite) run(c check, tb tb) {
	t := s.newT(c, tb)
	if err := t.Backend.Probe(); errors.Is(err, errors.ErrUnsupported) && c.group != groupBackend {
		t.missing("backend", err)
	}
	if c.run != nil {
		c.run(t)
	}
	if c.apart != nil && s.command != nil && t.onSystem() {
		t.runApart(c)
	}
	if c.fuse && s.command != nil && t.onSystem() {
		t.runLayer("fuse", c.name, 1)
	}
}

// newT makes the backend for a check.
func (s *suite) newT(c check, tb tb) *T {
	b, err := s.factory()
	if err != nil {
		tb.Errorf("make the backend: %v", err)
		tb.FailNow()
	}
	return &T{tb: tb, Backend: b, name: c.fullName(), says: c.says, suite: s}
}

func (s *suite) skipped(c check) (reason string, ok bool) {
	if s.only != "" && s.only != c.fullName() {
		return "not asked for", true
	}
	for i := range s.skips {
		k := &s.skips[i]
		if k.name == c.group || k.name == c.fullName() {
			k.used = true
			return k.reason, true
		}
	}
	return "", false
}

// names returns those that -conformance.only has, nil for all.
func names() []string {
	if *flagOnly == "" {
		return nil
	}
	return strings.Split(*flagOnly, ",")
}

func (c check) asked() bool {
	list := names()
	return list == nil || slices.Contains(list, c.group) || slices.Contains(list, c.fullName())
}

// unknownNames tells of names in Skip, and of -conformance.only, that no check has.
func (s *suite) unknownNames() error {
	known := map[string]bool{}
	for _, c := range checks() {
		known[c.group], known[c.fullName()] = true, true
	}
	var unknown []string
	for _, k := range s.skips {
		if !known[k.name] {
			unknown = append(unknown, k.name)
		}
	}
	for _, name := range names() {
		if !known[name] {
			return fmt.Errorf("-conformance.only: there is no check %s", name)
		}
	}
	if unknown == nil {
		return nil
	}
	return fmt.Errorf("conformance.Skip: there is no check %s", strings.Join(unknown, ", "))
}
