package backend

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

var (
	registryMu sync.RWMutex
	registry   = map[string]Backend{}
)

// preferred is the order in which Auto tries the backends it knows by name; the
// others follow in the order of their names. io_uring is behind the plain system calls as
// long as not all that was seen of it is understood: see docs/performance.md.
var preferred = []string{"posix", "uring"}

// Register makes a backend available by name. A backend module calls it from an
// init function, so that importing the module is enough. It panics if the name is
// taken: two modules of one name are a mistake in the build.
func Register(b Backend) {
	registryMu.Lock()
	defer registryMu.Unlock()
	if _, dup := registry[b.Name()]; dup {
		panic("backend: Register called twice for " + b.Name())
	}
	registry[b.Name()] = b
}

// Linked returns the registered backends in the order in which Auto tries them.
func Linked() []Backend {
	registryMu.RLock()
	defer registryMu.RUnlock()
	rank := func(b Backend) int {
		if i := slices.Index(preferred, b.Name()); i >= 0 {
			return i
		}
		return len(preferred)
	}
	var list []Backend
	for _, b := range registry {
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b Backend) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.Name(), b.Name())
	})
	return list
}

// Named returns the registered backend of that name, usable on this machine. It
// never falls back to another one.
func Named(name string) (Backend, error) {
	var names []string
	for _, b := range Linked() {
		if b.Name() != name {
			names = append(names, b.Name())
			continue
		}
		if err := b.Probe(); err != nil {
			return nil, fmt.Errorf("backend %s cannot run here: %w", name, err)
		}
		return b, nil
	}
	return nil, fmt.Errorf("backend %q is not part of this program (it has: %s): %w",
		name, strings.Join(names, ", "), errors.ErrUnsupported)
}

// Auto returns the first registered backend that can run here and is not in skip,
// and a sentence on why it was taken.
func Auto(skip ...string) (b Backend, why string, err error) {
	var passed []string
	for _, b := range Linked() {
		if slices.Contains(skip, b.Name()) {
			passed = append(passed, b.Name()+" is disabled")
			continue
		}
		if err := b.Probe(); err != nil {
			passed = append(passed, fmt.Sprintf("%s cannot run: %v", b.Name(), err))
			continue
		}
		why := "first choice"
		if len(passed) > 0 {
			why = strings.Join(passed, "; ")
		}
		return b, why, nil
	}
	if len(passed) == 0 {
		return nil, "", fmt.Errorf("no backend is part of this program: import one, "+
			"for example _ \"github.com/chronik-go/wal/backend-posix\": %w", errors.ErrUnsupported)
	}
	return nil, "", fmt.Errorf("no backend can run here: %s: %w", strings.Join(passed, "; "), errors.ErrUnsupported)
}
