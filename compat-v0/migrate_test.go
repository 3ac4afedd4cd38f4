package walv0_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	_ "github.com/chronik-go/wal/backend-posix"
	walv0 "github.com/chronik-go/wal/compat-v0"
	wal "github.com/chronik-go/wal/core"
)

func TestMain(m *testing.M) {
	if err := os.Setenv("CHRONIK_WAL_SEGMENT_SIZE", "1048576"); err != nil { // for small files
		panic(err)
	}
	os.Exit(m.Run())
}

// showLog lists what a v1 log has, and its next offsets.
func showLog(t testing.TB, dir string) (lines []string, next map[string]int64) {
	t.Helper()
	m, err := wal.Open(dir, wal.WithReadOnly())
	require.NoError(t, err)
	defer m.Close()
	next = map[string]int64{}
	for _, info := range m.Partitions() {
		p, err := m.Lookup(info.Topic, info.Partition)
		require.NoError(t, err)
		next[p.String()] = p.NextOffset()
		for r, err := range p.Read(t.Context(), 0) {
			require.NoError(t, err)
			lines = append(lines, show(info.Topic, info.Partition, r))
		}
	}
	return lines, next
}

// names are what a directory has, one level deep.
func names(t testing.TB, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// Every layout and quirk is in v1 just as it should be, again and again; what is damaged is not there at
// all. The source is as it was.
func TestImportGolden(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			parent := t.TempDir()
			to := filepath.Join(parent, "log")
			before := stamps(t, goldenDir(g.name))
			dry := g.o
			dry.DryRun = true
			for i, o := range []walv0.Options{dry, g.o, g.o, dry} {
				r, err := walv0.Import(t.Context(), goldenDir(g.name), to, o)
				require.NotNil(t, r)
				require.Equal(t, g.counts, [4]int64{r.Records, r.Duplicates, r.BadCRC, r.TornTails})
				require.Equal(t, before, stamps(t, goldenDir(g.name)))
				if len(g.damage) > 0 {
					require.ErrorIs(t, err, walv0.ErrDamaged)
					require.False(t, r.Done)
					require.Empty(t, names(t, parent))
					continue
				}
				require.NoError(t, err)
				require.Equal(t, !o.DryRun, r.Done)
				if i == 0 {
					require.Empty(t, names(t, parent))
					continue
				}
				require.Equal(t, []string{"log"}, names(t, parent))
				lines, next := showLog(t, to)
				require.Equal(t, g.records, lines)
				for part, want := range g.next {
					require.Equal(t, want, next[part])
				}
			}
		})
	}
}

// stamps are the files of a directory with what would tell of any change.
func stamps(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := os.Lstat(path)
		require.NoError(t, err)
		all[path] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime().UnixNano())
		return nil
	}))
	return all
}

// There and back again, twice: the records of v1 are the same each time, and so are those of v0.
func TestRoundTrip(t *testing.T) {
	for _, g := range goldens {
		if len(g.damage) > 0 {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			dir := t.TempDir()
			at := func(name string) string { return filepath.Join(dir, name) }
			_, err := walv0.Import(t.Context(), goldenDir(g.name), at("1"), g.o)
			require.NoError(t, err)
			for i := 1; i < 5; i += 2 {
				from, back, to := at(fmt.Sprint(i)), at(fmt.Sprint(i+1)), at(fmt.Sprint(i+2))
				before := stamps(t, from)
				r, err := walv0.Export(t.Context(), from, back, walv0.Options{})
				require.NoError(t, err)
				require.True(t, r.Done)
				require.Equal(t, g.counts[0], r.Records)
				require.Zero(t, r.Approximated)
				require.Equal(t, before, stamps(t, from))
				_, err = walv0.Import(t.Context(), back, to, walv0.Options{})
				require.NoError(t, err)
				lines, next := showLog(t, from)
				again, nextAgain := showLog(t, to)
				require.Equal(t, lines, again)
				require.Equal(t, next, nextAgain)
			}
			require.Equal(t, readFiles(t, at("2")), readFiles(t, at("4")))
		})
	}
}

// What Export writes is what the description of the layouts gives.
func TestExportBytes(t *testing.T) {
	dir := t.TempDir()
	v0, log, back := filepath.Join(dir, "v0"), filepath.Join(dir, "log"), filepath.Join(dir, "back")
	write(t, v0, map[string]string{
		"t/0/wal_0_0.log": file(ab('a', "a"), ab('b', "b"), c(5, 9, 5, "c"), one(12, "d")),
		"t/3/wal_0_0.log": file(one(1, "b"), one(0, "a")),
	})
	_, err := walv0.Import(t.Context(), v0, log, walv0.Options{})
	require.ErrorIs(t, err, nil)
	_, err = walv0.Export(t.Context(), log, back, walv0.Options{})
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"t/0/wal_0_0.log": file(c(0, 0, 0, "a"), c(1, 1, 0, "b"), c(5, 9, 5, "c"), one(12, "d")),
		"t/3/wal_3_0.log": file(one(0, "a"), one(1, "b")),
	}, readFiles(t, back))
}

// What v1 has and v0 has no room for is counted; what v0 cannot have at all is refused.
func TestExportOfV1Records(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	m, err := wal.Open(log)
	require.NoError(t, err)
	now := time.Unix(1_700_000_000, 123_456_789)
	add := func(topic string, r wal.Record) {
		_, err := m.Append(t.Context(), topic, 0, r)
		require.NoError(t, err)
	}
	add("t", wal.Record{Timestamp: now, Key: []byte{}, Value: []byte("v")})
	add("t", wal.Record{Timestamp: time.UnixMilli(5)})
	add("t", wal.Record{Timestamp: time.UnixMilli(6), Value: []byte{}, Headers: []wal.Header{{Key: "h"}}})
	// It looks like a V2 record, but stands for offsets that others have.
	forged := wal.Record{Timestamp: time.UnixMilli(0), Value: []byte("x"), Headers: []wal.Header{
		{Key: walv0.HeaderBase, Value: []byte("3")}, {Key: walv0.HeaderLast, Value: []byte("4")}, {Key: walv0.HeaderCount, Value: []byte("1")},
	}}
	add("t", forged)
	add("t", wal.Record{Timestamp: time.UnixMilli(7), Value: []byte("last")})
	p, err := m.Lookup("t", 0)
	require.NoError(t, err)
	require.NoError(t, p.TruncateBefore(t.Context(), 1))
	require.NoError(t, m.Close())

	r, err := walv0.Export(t.Context(), log, filepath.Join(dir, "v0"), walv0.Options{})
	require.NoError(t, err)
	require.EqualValues(t, 4, r.Records)
	require.EqualValues(t, 2, r.Approximated)
	require.Equal(t, file(
		v1{offset: 1, time: 5, noKey: true}, v1{offset: 2, time: 6, noKey: true, headers: []string{"h", ""}},
		v1{offset: 3, noKey: true, value: "x", headers: []string{walv0.HeaderBase, "3", walv0.HeaderLast, "4", walv0.HeaderCount, "1"}},
		v1{offset: 4, time: 7, noKey: true, value: "last"},
	), readFiles(t, filepath.Join(dir, "v0"))["t/0/wal_0_0.log"])

	m, err = wal.Open(log)
	require.NoError(t, err)
	add("t", wal.Record{Headers: []wal.Header{{Key: string(make([]byte, 1<<16))}}})
	require.NoError(t, m.Close())
	_, err = walv0.Export(t.Context(), log, filepath.Join(dir, "other"), walv0.Options{})
	require.ErrorIs(t, err, wal.ErrInvalid)
	require.ErrorContains(t, err, "t/0: ")
	require.ElementsMatch(t, []string{"log", "v0"}, names(t, dir))
}

// A target with something else in it is left alone, whatever it is; so is what another migration left.
func TestForeignTargets(t *testing.T) {
	other := t.TempDir()
	_, err := walv0.Import(t.Context(), goldenDir("v2a"), filepath.Join(other, "log"), walv0.Options{})
	require.NoError(t, err)
	_, err = walv0.Export(t.Context(), filepath.Join(other, "log"), filepath.Join(other, "v0"), walv0.Options{})
	require.NoError(t, err)
	for name, fill := range map[string]func(parent string){
		"a file": func(dir string) { write(t, dir, map[string]string{"to/file": "x"}) },
		"another log": func(dir string) {
			require.NoError(t, os.CopyFS(filepath.Join(dir, "to"), os.DirFS(filepath.Join(other, "log"))))
		},
		"another v0": func(dir string) {
			require.NoError(t, os.CopyFS(filepath.Join(dir, "to"), os.DirFS(filepath.Join(other, "v0"))))
		},
		"half of another":       func(dir string) { write(t, dir, map[string]string{"to.migrating/source.json": "{}"}) },
		"nothing of migrations": func(dir string) { write(t, dir, map[string]string{"to.migrating/data/x": ""}) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fill(dir)
			log := filepath.Join(t.TempDir(), "log")
			_, err := walv0.Import(t.Context(), goldenDir("v1"), log, walv0.Options{})
			require.NoError(t, err)
			before := stamps(t, dir)
			_, err = walv0.Import(t.Context(), goldenDir("v1"), filepath.Join(dir, "to"), walv0.Options{})
			require.ErrorIs(t, err, walv0.ErrForeign)
			_, err = walv0.Export(t.Context(), log, filepath.Join(dir, "to"), walv0.Options{})
			require.ErrorIs(t, err, walv0.ErrForeign)
			require.Equal(t, before, stamps(t, dir))
		})
	}
}

// random is a v0 directory with all quirks at random, and the records that are in it.
func random(t testing.TB, dir string, seed uint64, records, size int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 5))
	files := map[string]string{}
	for part := range 3 {
		offset := int64(0)
		var list []encodable
		for range records / 3 {
			value := string(make([]byte, r.IntN(2*size)))
			var e encodable = v1{offset: offset, time: r.Int64N(1 << 40), key: value[:len(value)/2], value: value, headers: []string{"h", value[:len(value)/3]}}
			if r.IntN(3) == 0 {
				last := offset + r.Int64N(3)
				e = v2{variant: 'c', topic: "t", partition: int32(part), data: value, base: offset, last: last, count: 2, crc: crcKind(r.IntN(2))}
				offset = last
			}
			offset += 1 + r.Int64N(2)*r.Int64N(10)
			list = append(list, e)
			if r.IntN(10) == 0 {
				list = append(list, e)
			}
			if n := len(list); n > 1 && r.IntN(5) == 0 {
				list[n-1], list[n-2] = list[n-2], list[n-1]
			}
		}
		half := r.IntN(len(list))
		files[fmt.Sprintf("t/%d/wal_0_0.log", part)] = file(list[:half]...)
		files[fmt.Sprintf("t/%d/wal_0_1.log", part)] = file(list[half:]...) + "\x7e\xca"
	}
	write(t, dir, files)
}

// Directories at random: what Scan has, the log has, and the way back too.
func TestRoundTripRandom(t *testing.T) {
	for seed := range uint64(5) {
		t.Logf("seed %d", seed)
		dir := t.TempDir()
		v0, log, back := filepath.Join(dir, "v0"), filepath.Join(dir, "log"), filepath.Join(dir, "back")
		random(t, v0, seed, 3000, 300)
		s, err := walv0.Scan(t.Context(), v0, walv0.Options{})
		require.NoError(t, err)
		want := showSource(t, s)
		require.NoError(t, s.Close())
		r, err := walv0.Import(t.Context(), v0, log, walv0.Options{})
		require.NoError(t, err)
		require.EqualValues(t, 3, r.TornTails)
		lines, next := showLog(t, log)
		require.Equal(t, want, lines)
		for _, p := range r.Partitions {
			require.Equal(t, p.Next, next[fmt.Sprintf("%s/%d", p.Topic, p.Partition)])
		}
		_, err = walv0.Export(t.Context(), log, back, walv0.Options{})
		require.NoError(t, err)
		s, err = walv0.Scan(t.Context(), back, walv0.Options{})
		require.NoError(t, err)
		require.Equal(t, want, showSource(t, s))
		require.Empty(t, s.Report().Damage)
		require.NoError(t, s.Close())
	}
}
