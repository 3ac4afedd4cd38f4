package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/stretchr/testify/require"
)

// A host is the process that a crash layer runs in. It has a mount namespace of its own:
// whatever becomes of it, what it mounted is gone with it.

// hostTask is what a host does.
type hostTask struct {
	Layer  string
	Seed   uint64
	States int
	// Kept is where a layer may leave the disk of a failure.
	Kept string
}

// report is what a host found.
type report struct {
	// States is how many crashes were checked, Distinct how many outcomes differed.
	States, Distinct int
	// Unmountable is how many states no file system could be mounted on.
	Unmountable int
	// Held is how many times somebody held a page of a disk whose caches had to go.
	Held int
	// Violations are what was found, each with how to come to it again.
	Violations []string
	// Missing says why the layer cannot run on this machine.
	Missing string
}

// layers are the crash layers that run in a host, by name.
var layers = map[string]func(ctx context.Context, s *suite, k *hostTask, r *report) error{}

// errMissing is wrapped by a layer that cannot run on this machine.
var errMissing = errors.New("not on this machine")

// runLayer runs a layer in a host and reports what it found. It reaches at least one state,
// however few there are to share.
func (t *T) runLayer(need layer, name string, states int) {
	t.Helper()
	if layers[name] == nil {
		require.Empty(t, layers, "there is no layer %q, and this system has layers", name)
		t.missing(need, errors.New("not on this system"))
	}
	if os.Geteuid() != 0 {
		t.missing(need, errors.New("only root can mount"))
	}
	kept := t.suite.kept
	if kept == "" {
		kept = os.TempDir()
	}
	host := &hostTask{Layer: name, Seed: *flagSeed, States: max(1, states), Kept: kept}
	cmd, stderr, err := t.suite.process(t.Context(), task{Host: host})
	require.NoError(t, err)
	if err := isolate(cmd); err != nil {
		t.missing(need, err)
	}
	// It watches its input, which ends with this process however that ends.
	alive, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer alive.Close()
	out, err := cmd.Output()
	var r report
	if jsonErr := json.Unmarshal(out, &r); jsonErr != nil {
		t.Errorf("the layer's process said no more than this: %v\n%s\n%s", err, out, stderr)
		return
	}
	if r.Missing != "" {
		t.missing(need, errors.New(r.Missing))
	}
	t.Logf("%d crashes, %d distinct outcomes", r.States, r.Distinct)
	if r.Unmountable > 0 {
		t.Logf("%d more images could not be mounted", r.Unmountable)
	}
	if r.Held > 0 {
		t.Logf("%d times a page of the disk before was held, and waited for", r.Held)
	}
	for _, v := range r.Violations {
		t.Errorf("%s", v)
	}
	require.NoError(t, err, "%s", stderr)
	require.False(t, r.States == 0 && r.Violations == nil, "nothing was checked")
}

// host runs a layer and prints its report.
func (s *suite) host(k *hostTask) error {
	run := layers[k.Layer]
	if run == nil {
		return fmt.Errorf("there is no layer %q", k.Layer)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until its end
		cancel()
	}()
	var r report
	err := run(ctx, s, k, &r)
	if errors.Is(err, errMissing) {
		r.Missing, err = strings.TrimPrefix(err.Error(), errMissing.Error()+": "), nil
	}
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(r))
}
