package walv0_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	walv0 "github.com/chronik-go/wal/compat-v0"
	wal "github.com/chronik-go/wal/core"
)

// interrupted runs a migration that ends when it begins to verify, and leaves what it wrote.
func interrupted(t *testing.T, run func(ctx context.Context, o walv0.Options) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	require.ErrorIs(t, run(ctx, walv0.Options{Progress: func(what string, _, _ int64) {
		if what == "writing" {
			cancel()
		}
	}}), context.Canceled)
}

// What is written gets its name only if it is what the source holds: one other byte in it is found.
func TestVerifyFindsOtherRecords(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"one", "other"} {
		write(t, at(name), map[string]string{"t/0/wal_0_0.log": file(one(0, name[2:3]), one(1, "b"), one(2, "c"))})
		_, err := walv0.Import(t.Context(), at(name), at(name+"log"), walv0.Options{})
		require.NoError(t, err)
		_, err = walv0.Export(t.Context(), at(name+"log"), at(name+"v0"), walv0.Options{})
		require.NoError(t, err)
	}
	runs := map[string]func(ctx context.Context, o walv0.Options) error{
		"onelog": func(ctx context.Context, o walv0.Options) error {
			_, err := walv0.Import(ctx, at("one"), at("log"), o)
			return err
		},
		"onev0": func(ctx context.Context, o walv0.Options) error {
			_, err := walv0.Export(ctx, at("onelog"), at("back"), o)
			return err
		},
	}
	for _, c := range []struct{ to, right, wrong string }{{"log", "onelog", "otherlog"}, {"back", "onev0", "otherv0"}} {
		interrupted(t, runs[c.right])
		data := filepath.Join(at(c.to)+".migrating", "data")
		require.NoError(t, os.RemoveAll(data))
		require.NoError(t, os.CopyFS(data, os.DirFS(at(c.wrong))))
		require.ErrorIs(t, runs[c.right](t.Context(), walv0.Options{}), walv0.ErrVerify)
		require.NoDirExists(t, at(c.to))
		require.NoError(t, os.RemoveAll(data))
		require.NoError(t, os.CopyFS(data, os.DirFS(at(c.right))))
		require.NoError(t, runs[c.right](t.Context(), walv0.Options{}))
		require.DirExists(t, at(c.to))
	}
}

// A source that something still writes to gives no result.
func TestSourceThatChanges(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("v0"), map[string]string{"t/0/wal_0_0.log": file(one(0, "a"))})
	more := func(change func()) walv0.Options {
		return walv0.Options{Progress: func(what string, _, _ int64) {
			if what == "writing" && change != nil {
				change()
				change = nil
			}
		}}
	}
	_, err := walv0.Import(t.Context(), at("v0"), at("log"), more(func() {
		write(t, at("v0"), map[string]string{"t/0/wal_0_1.log": file(one(1, "b"))})
	}))
	require.ErrorIs(t, err, walv0.ErrSourceChanged)
	require.NoDirExists(t, at("log"))
	require.NoError(t, os.RemoveAll(at("log.migrating")))
	_, err = walv0.Import(t.Context(), at("v0"), at("log"), walv0.Options{})
	require.NoError(t, err)
	_, err = walv0.Export(t.Context(), at("log"), at("back"), more(func() {
		m, err := wal.Open(at("log"))
		require.NoError(t, err)
		_, err = m.Append(t.Context(), "t", 0, wal.Record{})
		require.NoError(t, err)
		require.NoError(t, m.Close())
	}))
	require.ErrorIs(t, err, walv0.ErrSourceChanged)
	require.NoDirExists(t, at("back"))
}

// A kill between any two steps at the end leaves what the next run makes good: a record that only made the
// next offset known, and the directory of a migration whose target is there.
func TestResumeAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	to := filepath.Join(dir, "log")
	run := func(ctx context.Context, o walv0.Options) error {
		r, err := walv0.Import(ctx, goldenDir("v2c"), to, o)
		require.Equal(t, err == nil, r.Done)
		return err
	}
	interrupted(t, run)
	m, err := wal.Open(filepath.Join(to+".migrating", "data"))
	require.NoError(t, err)
	p, err := m.Lookup("t", 0)
	require.NoError(t, err)
	require.EqualValues(t, 21, p.NextOffset(), "all records are there")
	ack, err := p.AppendAt(t.Context(), 30, wal.Record{Headers: []wal.Header{{Key: "chronik.v0.end"}}})
	require.NoError(t, err)
	require.NoError(t, ack.Wait(t.Context()))
	require.NoError(t, m.Close())
	state, err := os.ReadFile(filepath.Join(to+".migrating", "source.json"))
	require.NoError(t, err)

	require.NoError(t, run(t.Context(), walv0.Options{}))
	lines, next := showLog(t, to)
	require.Len(t, lines, 3)
	require.EqualValues(t, 30, next["t/0"])
	for _, left := range []map[string]string{{"source.json": string(state)}, {"source.json.tmp": "{"}} {
		write(t, to+".migrating", left)
		require.NoError(t, run(t.Context(), walv0.Options{}))
		require.Equal(t, []string{"log"}, names(t, dir))
	}
	require.NoError(t, os.Mkdir(to+".migrating", 0o700))
	require.NoError(t, run(t.Context(), walv0.Options{}))
	require.Equal(t, []string{"log"}, names(t, dir))

	// And at the beginning, before anything is stated.
	to = filepath.Join(dir, "second")
	write(t, to+".migrating", map[string]string{"source.json.tmp": `{"to"`})
	require.NoError(t, run(t.Context(), walv0.Options{}))
	require.ElementsMatch(t, []string{"log", "second"}, names(t, dir))
}
