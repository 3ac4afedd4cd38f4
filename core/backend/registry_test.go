package backend

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// named is a backend that is asked for its name and whether it can run, and for nothing else.
type named struct {
	Backend
	name   string
	reason error
}

func (n named) Name() string { return n.name }
func (n named) Probe() error { return n.reason }

// link has only these backends registered until the test ends.
func link(t *testing.T, list ...named) {
	t.Helper()
	before := registry
	registry = map[string]Backend{}
	t.Cleanup(func() { registry = before })
	for _, b := range list {
		Register(b)
	}
}

var errOldKernel = fmt.Errorf("the kernel is too old: %w", errors.ErrUnsupported)

// Auto takes the first that runs here, in the order of preference, and says what it passed over.
func TestAuto(t *testing.T) {
	first, second := named{name: preferred[0]}, named{name: preferred[1]}
	old := func(b named) named { b.reason = errOldKernel; return b }
	other, another := named{name: "a"}, named{name: "b"}
	for _, x := range []struct {
		what   string
		linked []named
		skip   []string
		want   string
		why    string
	}{
		{"preference", []named{other, second, first}, nil, first.name, "first choice"},
		{"the only one", []named{other}, nil, "a", "first choice"},
		{"names where there is no preference", []named{another, other}, nil, "a", "first choice"},
		{"fallback", []named{other, second, old(first)}, nil, second.name, first.name + " cannot run: the kernel is too old"},
		{"disabled", []named{second, first}, []string{first.name}, second.name, first.name + " is disabled"},
		{"disabled and fallback", []named{other, old(second), first}, []string{first.name}, "a", second.name + " cannot run"},
	} {
		t.Run(x.what, func(t *testing.T) {
			link(t, x.linked...)
			b, why, err := Auto(x.skip...)
			require.NoError(t, err)
			require.Equal(t, x.want, b.Name())
			require.Contains(t, why, x.why)
		})
	}
}

func TestAutoWithoutAny(t *testing.T) {
	link(t)
	_, _, err := Auto()
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "import one")
	link(t, named{name: "posix", reason: errOldKernel}, named{name: "uring"})
	_, _, err = Auto("uring")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "posix cannot run: the kernel is too old")
	require.ErrorContains(t, err, "uring is disabled")
}

// A backend that was asked for by name is that one or an error, never another.
func TestNamed(t *testing.T) {
	link(t, named{name: "posix"}, named{name: "uring", reason: errOldKernel})
	b, err := Named("posix")
	require.NoError(t, err)
	require.Equal(t, "posix", b.Name())
	_, err = Named("uring")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "uring cannot run here: the kernel is too old")
	_, err = Named("mmap")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, `"mmap" is not part of this program (it has: posix, uring)`)
}

func TestRegisterTwice(t *testing.T) {
	link(t, named{name: "posix"})
	require.Panics(t, func() { Register(named{name: "posix"}) })
}
