package walv0_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	walv0 "github.com/chronik-go/wal/compat-v0"
	wal "github.com/chronik-go/wal/core"
)

func openManager(t testing.TB, dir string, opts ...wal.Option) *walv0.Manager {
	t.Helper()
	m, err := walv0.Open(dir, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

func showManager(t testing.TB, m *walv0.Manager) (lines []string) {
	t.Helper()
	for _, p := range m.Partitions() {
		for r, err := range m.Read(t.Context(), p.Topic, p.Partition, p.FirstOffset) {
			require.NoError(t, err)
			lines = append(lines, show(p.Topic, p.Partition, r))
		}
	}
	return lines
}

// One program, one API, and the environment says which layout it has: what is appended is there, also
// after the next open.
func TestManagerBothLayouts(t *testing.T) {
	for _, legacy := range []string{"false", "true"} {
		t.Run("legacy "+legacy, func(t *testing.T) {
			t.Setenv("CHRONIK_WAL_LEGACY_FORMAT", legacy)
			dir := filepath.Join(t.TempDir(), "data")
			record := func(i int64) wal.Record {
				return wal.Record{Timestamp: time.UnixMilli(i), Key: []byte("k"), Value: fmt.Append(nil, i), Headers: []wal.Header{{Key: "h", Value: []byte{1}}}}
			}
			var want []string
			for open := range int64(3) {
				m := openManager(t, dir)
				require.Equal(t, legacy == "true", m.Log() == nil)
				require.Equal(t, want, showManager(t, m))
				first, err := m.Append(t.Context(), "t", 3, record(0), record(1))
				require.NoError(t, err)
				require.Equal(t, 2*open, first)
				for i := range int64(2) {
					want = append(want, fmt.Sprintf(`t/3 %d %d "k" "%d" h="\x01"`, 2*open+i, i, i))
				}
				require.Equal(t, want, showManager(t, m))
				p := m.Partitions()
				require.Len(t, p, 1)
				require.Equal(t, [3]int64{0, 2*open + 2, 2*open + 2}, [3]int64{p[0].FirstOffset, p[0].NextOffset, p[0].Records})
				require.Equal(t, p[0].NextOffset, p[0].DurableOffset)
				require.Positive(t, p[0].Bytes)
				_, err = walv0.Open(dir)
				require.ErrorIs(t, err, wal.ErrLocked)
				require.NoError(t, m.Close())
				require.NoError(t, m.Close())
				_, err = m.Append(t.Context(), "t", 3, record(0))
				require.ErrorIs(t, err, wal.ErrClosed)
			}
			m := openManager(t, dir)
			for from, n := range map[int64]int{0: 6, 4: 2, 6: 0} {
				for r, err := range m.Read(t.Context(), "t", 3, from) {
					require.NoError(t, err)
					require.GreaterOrEqual(t, r.Offset, from)
					n--
				}
				require.Zero(t, n)
			}
			for _, from := range []int64{-1, 7} {
				for _, err := range m.Read(t.Context(), "t", 3, from) {
					require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
				}
			}
			for _, err := range m.Read(t.Context(), "t", 4, 0) {
				require.ErrorIs(t, err, wal.ErrNoPartition)
			}
			for _, bad := range []func() (int64, error){
				func() (int64, error) { return m.Append(t.Context(), "..", 0, record(0)) },
				func() (int64, error) { return m.Append(t.Context(), "t", -1, record(0)) },
				func() (int64, error) { return m.Append(t.Context(), "t", 0) },
				func() (int64, error) {
					return m.Append(t.Context(), "t", 0, wal.Record{Timestamp: time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)})
				},
			} {
				_, err := bad()
				require.ErrorIs(t, err, wal.ErrInvalid)
			}
			require.Equal(t, want, showManager(t, m))
		})
	}
}

// AppendLegacy has v0's meaning: raw bytes, one record, topic default, partition 0.
func TestAppendLegacy(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		m := openManager(t, t.TempDir(), wal.WithLegacyFormat(legacy))
		for want := range int64(3) {
			offset, err := m.AppendLegacy([]byte{byte(want)})
			require.NoError(t, err)
			require.Equal(t, want, offset)
		}
		n := byte(0)
		for r, err := range m.Read(t.Context(), "default", 0, 0) {
			require.NoError(t, err)
			require.Equal(t, []byte{n}, r.Value)
			require.Nil(t, r.Key)
			n++
		}
		require.EqualValues(t, 3, n)
	}
}

// What a v0 directory has is read through the same API, whatever its layouts, and appended to.
func TestLegacyReadsGolden(t *testing.T) {
	for _, g := range goldens {
		if len(g.damage) > 0 || g.o.AcceptBadCRC || g.o.Renumber != nil {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(goldenDir(g.name))))
			for range 2 {
				m := openManager(t, dir, wal.WithLegacyFormat(true))
				lines := showManager(t, m)
				require.Equal(t, g.records, lines[:len(g.records)])
				before := m.Partitions()[0]
				offset, err := m.Append(t.Context(), before.Topic, before.Partition, wal.Record{Value: []byte("more")})
				require.NoError(t, err)
				require.Equal(t, before.NextOffset, offset)
				after := showManager(t, m)
				require.Len(t, after, len(lines)+1)
				require.NoError(t, m.Close())
				if before.Topic != "t" {
					return // more partitions follow: the order of lines is not that of appends
				}
			}
		})
	}
}

// Neither layout is taken for the other, and a damaged v0 directory is not written to.
func TestManagerRefuses(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, openManager(t, dir).Close())
	m := openManager(t, dir)
	_, err := m.Append(t.Context(), "t", 0, wal.Record{})
	require.NoError(t, err)
	require.NoError(t, m.Close())
	_, err = walv0.Open(dir, wal.WithLegacyFormat(true))
	require.ErrorIs(t, err, walv0.ErrLayout)

	dir = filepath.Join(t.TempDir(), "log[1]") // no segment in it, and a name that is no pattern
	m = openManager(t, dir, wal.WithLayout(wal.LayoutDedicated))
	_, err = m.Append(t.Context(), "default", 0, wal.Record{})
	require.NoError(t, err)
	require.NoError(t, m.Close())
	_, err = walv0.Open(dir, wal.WithLegacyFormat(true))
	require.ErrorIs(t, err, walv0.ErrLayout)
	require.NoDirExists(t, filepath.Join(dir, "default"))

	v0 := t.TempDir()
	require.NoError(t, os.CopyFS(v0, os.DirFS(goldenDir("v1"))))
	_, err = walv0.Open(v0)
	require.ErrorIs(t, err, walv0.ErrLayout)

	for _, name := range []string{"damage", "conflict", "bad-crc"} {
		damaged := t.TempDir()
		require.NoError(t, os.CopyFS(damaged, os.DirFS(goldenDir(name))))
		before := stamps(t, damaged)
		_, err = walv0.Open(damaged, wal.WithLegacyFormat(true))
		require.ErrorIs(t, err, walv0.ErrDamaged)
		require.Equal(t, before, stamps(t, damaged))
	}
	t.Setenv("CHRONIK_WAL_LEGACY_FORMAT", "perhaps")
	_, err = walv0.Open(dir)
	require.ErrorIs(t, err, wal.ErrInvalid)
}

// plainKeys wraps nothing: it makes a log an encrypted one.
type plainKeys struct{}

func (plainKeys) Wrap(secret []byte) ([]byte, error)    { return bytes.Clone(secret), nil }
func (plainKeys) Unwrap(wrapped []byte) ([]byte, error) { return bytes.Clone(wrapped), nil }

// deflate is a codec that is not registered.
type deflate struct{}

func (deflate) ID() uint8    { return 40 }
func (deflate) Name() string { return "deflate" }

func (deflate) Compress(dst, src []byte) []byte {
	b := bytes.NewBuffer(dst)
	w, err := flate.NewWriter(b, flate.BestSpeed)
	if err != nil {
		panic(err)
	}
	if _, err := w.Write(src); err != nil || w.Close() != nil || b.Len()-len(dst) >= len(src) {
		return nil
	}
	return b.Bytes()
}

func (deflate) Decompress(dst, src []byte) error {
	_, err := io.ReadFull(flate.NewReader(bytes.NewReader(src)), dst)
	return err
}

// What a v0 directory has no room for is not dropped in silence: nothing is opened, and nothing made.
func TestLegacyRefusesStorage(t *testing.T) {
	for name, opt := range map[string]wal.Option{
		"keys": wal.WithKeys(plainKeys{}), "sealed only": wal.WithSealedOnly(), "codec": wal.WithCodec(deflate{}),
		"a topic's codec": wal.WithTopicCodec("t", deflate{}), "checksum": wal.WithChecksum(wal.ChecksumXXH64),
	} {
		dir := filepath.Join(t.TempDir(), "v0")
		opts := []wal.Option{wal.WithLegacyFormat(true), opt}
		if name == "sealed only" {
			opts = append(opts, wal.WithReadOnly()) // without keys it is for readers
		}
		_, err := walv0.Open(dir, opts...)
		require.ErrorIs(t, err, walv0.ErrNotInV0, name)
		require.NoDirExists(t, dir)
	}
	openManager(t, t.TempDir(), wal.WithLegacyFormat(true), wal.WithTopicCodec("t", nil), wal.WithCodec(nil), wal.WithChecksum(wal.ChecksumCRC32C))
}

// Appends and readers at the same time: each reader sees a prefix, and offsets are given once.
func TestLegacyConcurrent(t *testing.T) {
	m := openManager(t, t.TempDir(), wal.WithLegacyFormat(true))
	const each = 50
	offsets := make([][]int64, 3)
	var wg sync.WaitGroup
	for i := range offsets {
		wg.Go(func() {
			for range each {
				o, err := m.Append(t.Context(), "t", 0, wal.Record{Value: []byte(strings.Repeat("x", 100))})
				if err != nil {
					t.Error(err)
				}
				offsets[i] = append(offsets[i], o)
			}
		})
	}
	for range 20 {
		next := int64(0)
		for r, err := range m.Read(t.Context(), "t", 0, 0) {
			if err != nil {
				require.ErrorIs(t, err, wal.ErrNoPartition)
				break
			}
			require.Equal(t, next, r.Offset)
			next++
		}
	}
	wg.Wait()
	seen := map[int64]bool{}
	for _, list := range offsets {
		for _, o := range list {
			require.False(t, seen[o])
			seen[o] = true
		}
	}
	require.Len(t, seen, len(offsets)*each)
}
