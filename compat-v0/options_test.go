package walv0_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	walv0 "github.com/chronik-go/wal/compat-v0"
	wal "github.com/chronik-go/wal/core"
)

// interrupting ends the context as soon as something is written.
func interrupting(t *testing.T) (context.Context, walv0.Options) {
	ctx, cancel := context.WithCancel(t.Context())
	return ctx, walv0.Options{Progress: func(what string, _, _ int64) {
		if what == "writing" {
			cancel()
		}
	}}
}

// started is an import with options that was interrupted before it was done.
func started(t *testing.T, from, to string, opts ...wal.Option) {
	t.Helper()
	ctx, o := interrupting(t)
	_, err := walv0.Import(ctx, from, to, o, opts...)
	require.ErrorIs(t, err, context.Canceled)
	require.FileExists(t, filepath.Join(to+".migrating", "source.json"))
}

// twoRecords makes a v0 directory in which no option of Scan makes a difference.
func twoRecords(t *testing.T) (from string) {
	t.Helper()
	from = t.TempDir()
	write(t, from, map[string]string{"t/0/wal_0_0.log": file(one(0, "a"), one(1, "b"))})
	return from
}

// What an interrupted migration left is gone on with by the options that it was begun with, and by no
// others: else half of it would be plain, say.
func TestResumeWithOtherOptions(t *testing.T) {
	keys := wal.WithKeys(plainKeys{})
	for name, c := range map[string]struct {
		first, then []wal.Option
		o           walv0.Options
	}{
		"keys":                 {then: []wal.Option{keys}},
		"no keys":              {first: []wal.Option{keys}},
		"another cipher":       {first: []wal.Option{keys}, then: []wal.Option{keys, wal.WithCipher(otherCipher{wal.AES()})}},
		"a codec":              {then: []wal.Option{wal.WithCodec(deflate{})}},
		"a topic's codec":      {then: []wal.Option{wal.WithTopicCodec("t", deflate{})}},
		"a checksum":           {then: []wal.Option{wal.WithChecksum(wal.ChecksumXXH64)}},
		"renumber":             {o: walv0.Options{Renumber: []string{"t/0"}}},
		"accept wrong CRCs":    {o: walv0.Options{AcceptBadCRC: true}},
		"fsync mode, any size": {then: []wal.Option{wal.WithFsyncMode(wal.FsyncAlways), wal.WithSegmentSize(1 << 19)}, o: walv0.Options{Batch: 9}},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := twoRecords(t), filepath.Join(t.TempDir(), "log")
			started(t, from, to, c.first...)
			before := stamps(t, to+".migrating")
			r, err := walv0.Import(t.Context(), from, to, c.o, c.then...)
			if c.o.Batch == 0 {
				require.ErrorIs(t, err, walv0.ErrForeign)
				require.ErrorContains(t, err, "with other options")
				require.Equal(t, before, stamps(t, to+".migrating"))
				require.NoDirExists(t, to)
				r, err = walv0.Import(t.Context(), from, to, walv0.Options{}, c.first...)
			}
			require.NoError(t, err)
			require.True(t, r.Done)
			require.True(t, r.Resumed)
		})
	}
}

// So it is on the way back.
func TestResumeExportWithOtherOptions(t *testing.T) {
	dir := t.TempDir()
	log, to := filepath.Join(dir, "log"), filepath.Join(dir, "v0")
	_, err := walv0.Import(t.Context(), twoRecords(t), log, walv0.Options{})
	require.NoError(t, err)
	ctx, o := interrupting(t)
	_, err = walv0.Export(ctx, log, to, o)
	require.ErrorIs(t, err, context.Canceled)
	before := stamps(t, to+".migrating")
	_, err = walv0.Export(t.Context(), log, to, walv0.Options{AcceptLost: true})
	require.ErrorIs(t, err, walv0.ErrForeign)
	require.Equal(t, before, stamps(t, to+".migrating"))
	r, err := walv0.Export(t.Context(), log, to, walv0.Options{})
	require.NoError(t, err)
	require.True(t, r.Done)
	require.True(t, r.Resumed)
}

// A codec of the application's is known by the options only: a log that has it is what was asked for.
func TestImportWithCodecOfApplication(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "log")
	write(t, from, map[string]string{"t/0/wal_0_0.log": file(one(0, strings.Repeat("a", 10_000)))})
	for range 2 {
		r, err := walv0.Import(t.Context(), from, to, walv0.Options{}, wal.WithCodec(deflate{}))
		require.NoError(t, err)
		require.True(t, r.Done)
	}
	_, err := walv0.Import(t.Context(), from, to, walv0.Options{})
	require.ErrorIs(t, err, walv0.ErrForeign)
}

// otherCipher is one with another name.
type otherCipher struct{ wal.Cipher }

func (otherCipher) ID() uint8    { return 40 }
func (otherCipher) Name() string { return "other" }

// A log that is there already is not said to be what was asked for if it is not encrypted, or otherwise.
func TestTargetIsStoredOtherwise(t *testing.T) {
	from := twoRecords(t)
	keys := wal.WithKeys(plainKeys{})
	plain, sealed := filepath.Join(t.TempDir(), "log"), filepath.Join(t.TempDir(), "log")
	for range 2 {
		r, err := walv0.Import(t.Context(), from, plain, walv0.Options{})
		require.NoError(t, err)
		require.True(t, r.Done)
		r, err = walv0.Import(t.Context(), from, sealed, walv0.Options{}, keys)
		require.NoError(t, err)
		require.True(t, r.Done)
	}
	before := stamps(t, plain)
	r, err := walv0.Import(t.Context(), from, plain, walv0.Options{}, keys)
	require.ErrorIs(t, err, walv0.ErrForeign)
	require.ErrorContains(t, err, plain+" is there already, and not encrypted")
	require.False(t, r.Done)
	require.Equal(t, before, stamps(t, plain))

	_, err = walv0.Import(t.Context(), from, sealed, walv0.Options{})
	require.ErrorIs(t, err, walv0.ErrForeign)
	require.ErrorIs(t, err, wal.ErrKey)
	require.ErrorContains(t, err, sealed+" is there already, and encrypted")
}
