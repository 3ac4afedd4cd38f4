package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
)

// tb is what checks need of a *testing.T, and what recorder is too.
type tb interface {
	require.TestingT
	Helper()
	Logf(format string, args ...any)
	Cleanup(f func())
	TempDir() string
	Context() context.Context
	Skipf(format string, args ...any)
}

// T is what a check runs with.
type T struct {
	tb
	// Backend is the backend under test.
	Backend backend.Backend
	name    string
	says    string
	suite   *suite
	quiet   bool // another T says what is violated
}

// Errorf reports a violation, with the sentence that is violated and how to come to it again.
func (t *T) Errorf(format string, args ...any) {
	t.Helper()
	if t.quiet {
		t.tb.Errorf(format, args...)
		return
	}
	again := fmt.Sprintf("check %s, seed %d", t.name, *flagSeed)
	if t.suite.test != "" {
		again += "; repeat with: " + t.suite.repeat(t.name, *flagSeed)
	}
	t.tb.Errorf("it says: %s\n%s\n%s", t.says, fmt.Sprintf(format, args...), again)
}

// TempDir returns a new directory on the file system under test (-conformance.dir), or on the
// backend's own machine.
func (t *T) TempDir() string {
	t.Helper()
	if m, ok := t.Backend.(Machine); ok {
		dir := fmt.Sprint("/", t.suite.dirs.Add(1))
		require.NoError(t, m.Mkdir(dir))
		return dir
	}
	if above := t.suite.dir; above != "" {
		dir, err := os.MkdirTemp(above, "")
		require.NoError(t, err)
		return dir
	}
	if *flagDir == "" {
		return t.tb.TempDir()
	}
	dir, err := os.MkdirTemp(*flagDir, "conformance-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// recorder runs a check outside a test and collects what it reports.
type recorder struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	errs     []error
	skipped  string // why
	cleanups []func()
}

func newRecorder() *recorder {
	r := &recorder{}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// do runs f and then its cleanups, each also if it ends with FailNow or panics.
func (r *recorder) do(f func()) {
	r.apart(f)
	r.cancel()
	for {
		r.mu.Lock()
		n := len(r.cleanups)
		if n == 0 {
			r.mu.Unlock()
			return
		}
		c := r.cleanups[n-1]
		r.cleanups = r.cleanups[:n-1]
		r.mu.Unlock()
		r.apart(c)
	}
}

// apart runs f on a goroutine that FailNow may end.
func (r *recorder) apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if x := recover(); x != nil {
				stack := make([]byte, 16<<10)
				r.Errorf("panic: %v\n%s", x, stack[:runtime.Stack(stack, false)])
			}
		}()
		f()
	}()
	<-done
}

func (r *recorder) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.errs...)
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, errors.New(strings.TrimSpace(fmt.Sprintf(format, args...))))
}

func (r *recorder) FailNow() {
	r.mu.Lock()
	failed := len(r.errs) > 0
	r.mu.Unlock()
	if !failed {
		r.Errorf("failed")
	}
	runtime.Goexit()
}

func (r *recorder) Helper()                  {}
func (r *recorder) Logf(string, ...any)      {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Skipf(format string, args ...any) {
	r.mu.Lock()
	r.skipped = fmt.Sprintf(format, args...)
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) TempDir() string {
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		r.Errorf("%v", err)
		r.FailNow()
	}
	r.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			r.Errorf("%v", err)
		}
	})
	return dir
}

// layer is a privilege or program that some crash layer needs.
type layer string

// layerPrivilege is what checks of the contract need that only some users may do.
const layerPrivilege layer = "privilege"

// missing is Missing for a check.
func (t *T) missing(l layer, why error) {
	t.Helper()
	missing(t, l, why)
}

// Missing ends a test that cannot run on this machine for want of what a layer needs, as a check
// of the suite is ended: loudly, and as a failure if -conformance.require names the layer.
func Missing(t testing.TB, layerName string, why error) {
	t.Helper()
	missing(t, layer(layerName), why)
}

func missing(t tb, l layer, why error) {
	t.Helper()
	if slices.Contains(strings.Split(*flagRequire, ","), string(l)) {
		require.NoError(t, why, "layer %s is required here", l)
	}
	text := fmt.Sprintf(missingPrefix+"%s cannot run here: %v", l, why)
	if !isChild() { // its parent says it
		sayMissing(text)
	}
	t.Skipf("%s", text)
}

// missingPrefix begins what says that a check cannot run on this machine.
const missingPrefix = "layer "

func sayMissing(why string) { fmt.Fprintln(os.Stderr, "conformance: SKIPPED,", why) }
