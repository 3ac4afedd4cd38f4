package wal_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

// variables are the environment variables, what is in force without them, what another
// value and an option make of it, and values that are refused.
var variables = []struct {
	name     string
	def      string
	env      string
	then     string // what env is printed as
	option   wal.Option
	optioned string
	bad      []string
	says     string // of values that are refused
}{
	{"CHRONIK_WAL_SEGMENT_SIZE", "1073741824", "65536", "65536", wal.WithSegmentSize(1 << 20), "1048576",
		[]string{"x", "-1", "0", "1.5", "16383", "1k", "1_000_000", "0x100000", "99999999999999999999", "1099511627777"},
		"it has to be a whole number of bytes from 16384 to 1099511627776"},
	{"CHRONIK_WAL_ROTATION_AGE", "3600000", "5000", "5000", wal.WithRotationAge(time.Minute), "60000",
		[]string{"1h", "0", "-5", "9223372036854775807"},
		"it has to be a whole number of ms from 1 to 1099511627776"},
	{"CHRONIK_WAL_FSYNC_MODE", "batch", "periodic", "periodic", wal.WithFsyncMode(wal.FsyncAlways), "always",
		[]string{"none", "Batch", "1"}, "it has to be always, batch or periodic"},
	{"CHRONIK_WAL_BUFFER_SIZE", "4194304", "65536", "65536", wal.WithBufferSize(1 << 20), "1048576",
		[]string{"4MB", "1", "-1", "1073741825"},
		"it has to be a whole number of bytes from 32768 to 1073741824"},
	{"CHRONIK_WAL_LEGACY_FORMAT", "false", "0", "false", wal.WithLegacyFormat(false), "false", []string{"yes", "2"},
		"it has to be true or false"},
	{"CHRONIK_WAL_DISABLE_IO_URING", "false", "true", "true", wal.WithDisableIOUring(false), "false", []string{"yes", "on", "2"},
		"it has to be true or false"},
	{"CHRONIK_WAL_DISABLE_BUFFER_POOL", "false", "TRUE", "true", wal.WithBufferPool(true), "false", []string{"off"},
		"it has to be true or false"},
	{"CHRONIK_WAL_USE_STD_LOCKS", "false", "1", "true", wal.WithStdLocks(false), "false", []string{"mutex"}, "it has to be true or false"},
}

func settings(t *testing.T, opts ...wal.Option) map[string]wal.Setting {
	t.Helper()
	list, err := wal.Environment(opts...)
	require.NoError(t, err)
	all := map[string]wal.Setting{}
	for _, s := range list {
		require.NotEmpty(t, s.Meaning)
		all[s.Variable] = s
	}
	require.Len(t, list, 9)
	require.Len(t, all, 9)
	return all
}

// Each variable has its default; the environment wins over that, an option over both.
func TestEnvironment(t *testing.T) {
	for _, v := range variables {
		t.Run(v.name, func(t *testing.T) {
			check := func(value, source string, opts ...wal.Option) {
				t.Helper()
				s := settings(t, opts...)[v.name]
				require.Equal(t, value, s.Value)
				require.Equal(t, source, s.Source)
			}
			check(v.def, "default")
			check(v.optioned, "option", v.option)
			t.Setenv(v.name, "")
			check(v.def, "default")
			t.Setenv(v.name, v.env)
			check(v.then, "environment")
			check(v.optioned, "option", v.option)
			for other, s := range settings(t) {
				require.True(t, other == v.name || s.Source == "default", "%+v", s)
			}
			for _, bad := range v.bad {
				t.Setenv(v.name, bad)
				_, err := wal.Environment()
				require.ErrorIs(t, err, wal.ErrInvalid, "%q", bad)
				require.Equal(t, 1, strings.Count(err.Error(), v.name), "%v", err)
				require.Contains(t, err.Error(), strconv.Quote(bad))
				require.Contains(t, err.Error(), v.says)
				disk := newDisk(t, sim.Options{})
				_, err = wal.Open(dataDir, wal.WithBackend(disk))
				require.ErrorIs(t, err, wal.ErrInvalid, "%q", bad)
				require.ErrorContains(t, err, v.name)
				require.Empty(t, disk.Files("/"), "nothing was touched")
				m, err := wal.Open(dataDir, wal.WithBackend(disk), v.option)
				require.NoError(t, err, "an option in its place, nobody looks at it")
				require.NoError(t, m.Close())
			}
		})
	}
}

func TestDataDir(t *testing.T) {
	require.Empty(t, wal.DataDir())
	require.Equal(t, "default", settings(t)["CHRONIK_WAL_DATA_DIR"].Source)
	t.Setenv("CHRONIK_WAL_DATA_DIR", "/somewhere")
	require.Equal(t, "/somewhere", wal.DataDir())
	s := settings(t)["CHRONIK_WAL_DATA_DIR"]
	require.Equal(t, "/somewhere", s.Value)
	require.Equal(t, "environment", s.Source)
}

// What the environment says is what the log does.
func TestEnvironmentIsInForce(t *testing.T) {
	t.Setenv("CHRONIK_WAL_SEGMENT_SIZE", "16384")
	t.Setenv("CHRONIK_WAL_FSYNC_MODE", "always")
	t.Setenv("CHRONIK_WAL_USE_STD_LOCKS", "true")
	t.Setenv("CHRONIK_WAL_DISABLE_BUFFER_POOL", "true")
	t.Setenv("CHRONIK_WAL_LEGACY_FORMAT", "false")
	disk := newDisk(t, sim.Options{})
	m, err := wal.Open(dataDir, wal.WithBackend(disk))
	require.NoError(t, err)
	fill(t, m, 3, 200)
	require.Greater(t, len(segments(t, m)), 2)
	requireFilled(t, m, 3, 200)
	require.NoError(t, m.Close())
	requireFilled(t, open(t, disk), 3, 200)
}

// Options out of range are refused before anything is touched.
func TestBadOptions(t *testing.T) {
	for name, o := range map[string]wal.Option{
		"segment too small":       wal.WithSegmentSize(wal.MinSegmentSize - 1),
		"segment too large":       wal.WithSegmentSize(wal.MaxSegmentSize + 1),
		"segment negative":        wal.WithSegmentSize(math.MinInt64),
		"no rotation age":         wal.WithRotationAge(0),
		"rotation age negative":   wal.WithRotationAge(-time.Hour),
		"rotation age below 1 ms": wal.WithRotationAge(time.Microsecond),
		"fsync mode 0":            wal.WithFsyncMode(0),
		"fsync mode 4":            wal.WithFsyncMode(4),
		"buffer too small":        wal.WithBufferSize(wal.MinBufferSize - 1),
		"buffer too large":        wal.WithBufferSize(wal.MaxBufferSize + 1),
		"no sync interval":        wal.WithSyncInterval(0),
		"batch bytes 0":           wal.WithBatchLimits(0, 1, 0),
		"batch records 0":         wal.WithBatchLimits(1, 0, 0),
		"batch delay negative":    wal.WithBatchLimits(1, 1, -1),
		"batch delay too long":    wal.WithBatchLimits(1, 1, time.Hour),
		"record limit 0":          wal.WithMaxRecordSize(0),
		"record limit too high":   wal.WithMaxRecordSize(wal.MaxRecordLimit + 1),
		"no shards":               wal.WithShards(0),
		"too many shards":         wal.WithShards(wal.MaxShards + 1),
		"layout 0":                wal.WithLayout(0),
		"layout 3":                wal.WithLayout(3),
		"recycle limit negative":  wal.WithRecycleLimit(-1),
		"move limit negative":     wal.WithMoveLimit(-1),
		"allow damage":            wal.WithAllowDamage(),
		"keys of nobody":          wal.WithKeys(nil),
		"cipher without keys":     wal.WithCipher(wal.AES()),
		"sealed without keys":     wal.WithSealedOnly(),
	} {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t, sim.Options{})
			_, err := wal.Open(dataDir, wal.WithBackend(disk), o)
			require.ErrorIs(t, err, wal.ErrInvalid)
			require.Empty(t, disk.Files("/"))
			_, err = wal.Environment(o)
			require.ErrorIs(t, err, wal.ErrInvalid)
		})
	}
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, wal.WithLogger(nil), wal.WithProgress(nil), wal.WithRecycleLimit(0), wal.WithMoveLimit(0),
		wal.WithBatchLimits(1, 1, 0), wal.WithSegmentSize(wal.MinSegmentSize), wal.WithBufferSize(wal.MinBufferSize))
	fill(t, m, 2, 20)
	require.NoError(t, m.Close())
}

// The layout of version 0 is refused by who would write it, before anything is touched. It is told as
// in force all the same, and no reason not to read.
func TestLegacyFormatIsRefused(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	refused := func(opts ...wal.Option) {
		t.Helper()
		_, err := wal.Open(dataDir, append(opts, wal.WithBackend(disk))...)
		require.ErrorIs(t, err, wal.ErrInvalid)
		require.ErrorContains(t, err, "set CHRONIK_WAL_LEGACY_FORMAT to false")
		require.Empty(t, disk.Files("/"))
		require.Equal(t, "true", settings(t, opts...)["CHRONIK_WAL_LEGACY_FORMAT"].Value)
	}
	refused(wal.WithLegacyFormat(true))
	t.Setenv("CHRONIK_WAL_LEGACY_FORMAT", "true")
	refused()
	require.NoError(t, open(t, disk, wal.WithLegacyFormat(false)).Close())
	m := open(t, disk, wal.WithLegacyFormat(false))
	appendValues(t, partition(t, m, "t", 0), 1)
	require.NoError(t, m.Close())
	openReadOnly(t, disk)
}

// WithMustExist makes nothing, and removes nothing, where there is no log.
func TestMustExist(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	_, err := tryOpen(disk, wal.WithMustExist())
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Empty(t, disk.Files("/"))
	d, err := disk.OpenDir(dataDir, backend.DirOptions{Create: true})
	require.NoError(t, err)
	f, err := d.Create("draft.tmp", 0)
	require.NoError(t, errors.Join(err, f.Close(), d.Close()))
	before := disk.Files("/")
	_, err = tryOpen(disk, wal.WithMustExist())
	require.ErrorIs(t, err, wal.ErrNotLog)
	require.Equal(t, before, disk.Files("/"))
	require.Zero(t, disk.OpenHandles())
	for _, o := range [][]wal.Option{nil, {wal.WithShards(2)}} { // a log that was closed, and one made of two without a record
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, o...)
		if o == nil {
			appendValues(t, partition(t, m, "t", 0), 1)
		}
		require.NoError(t, m.Close())
		require.NoError(t, open(t, disk, wal.WithMustExist()).Close())
	}
}

func TestFsyncModeNames(t *testing.T) {
	for _, m := range []wal.FsyncMode{wal.FsyncAlways, wal.FsyncBatch, wal.FsyncPeriodic} {
		parsed, err := wal.ParseFsyncMode(m.String())
		require.NoError(t, err)
		require.Equal(t, m, parsed)
	}
	_, err := wal.ParseFsyncMode("")
	require.ErrorIs(t, err, wal.ErrInvalid)
	require.Equal(t, "FsyncMode(9)", wal.FsyncMode(9).String())
	require.Equal(t, "shared", wal.LayoutShared.String())
	require.Equal(t, "dedicated", wal.LayoutDedicated.String())
}

// Without an option the backend is the best of those that are part of the program; there
// is none in this one. With one it is that, and nobody second-guesses it.
func TestChoiceOfBackend(t *testing.T) {
	dir := t.TempDir()
	_, err := wal.Open(dir)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
	m := open(t, newDisk(t, sim.Options{}))
	require.Equal(t, "sim", m.Backend())
	require.NotEmpty(t, m.BackendReason())
}

// oddBackend states limits that no queue may have.
type oddBackend struct {
	*sim.Disk
	limits backend.Limits
}

type oddDir struct {
	backend.Dir
	limits backend.Limits
}

type oddQueue struct {
	backend.Queue
	limits backend.Limits
}

func (b oddBackend) OpenDir(path string, o backend.DirOptions) (backend.Dir, error) {
	d, err := b.Disk.OpenDir(path, o)
	if err != nil {
		return nil, err
	}
	return oddDir{d, b.limits}, nil
}

func (d oddDir) Queue(o backend.QueueOptions) (backend.Queue, error) {
	q, err := d.Dir.Queue(o)
	if err != nil {
		return nil, err
	}
	return oddQueue{q, d.limits}, nil
}

func (q oddQueue) Limits() backend.Limits { return q.limits }

// A backend that does not keep to the contract is refused, and nothing stays open.
func TestBackendWithOddLimits(t *testing.T) {
	for _, limits := range []backend.Limits{
		{}, {Alignment: 512}, {Depth: 1}, {Alignment: 256, Depth: 1}, {Alignment: 8192, Depth: 1}, {Alignment: 1000, Depth: 1},
	} {
		disk := newDisk(t, sim.Options{})
		_, err := wal.Open(dataDir, wal.WithBackend(oddBackend{disk, limits}))
		require.ErrorIs(t, err, wal.ErrInvalid, "%+v", limits)
	}
}

// An open that fails half-way leaves nothing open, nothing running, and no lock.
func TestOpenThatFailsLeavesNothing(t *testing.T) {
	seed := newDisk(t, sim.Options{})
	m := open(t, seed, small, wal.WithShards(3))
	fill(t, m, 6, 30)
	for name, image := range map[string]*sim.Disk{
		"crashed": crash(t, seed),
		"closed":  func() *sim.Disk { require.NoError(t, m.Close()); return seed }(),
	} {
		for _, op := range []sim.Op{sim.OpOpenDir, sim.OpLock, sim.OpList, sim.OpOpen, sim.OpRead, sim.OpSize, sim.OpFileSync, sim.OpDirSync, sim.OpQueue, sim.OpBuffer} {
			for after := range 12 {
				disk := image.Clone()
				hit := disk.Inject(sim.Fault{Op: op, After: after})
				m, err := tryOpen(disk, small, wal.WithShards(3))
				what := fmt.Sprintf("%s, %v after %d", name, op, after)
				if err == nil {
					disk.ClearFaults()
					require.NoError(t, m.Close(), what)
					continue
				}
				require.Equal(t, 1, hit.Hits(), what)
				require.Zero(t, disk.OpenHandles(), what)
				require.NoError(t, disk.Misuse(), what)
				disk.ClearFaults()
				m, err = tryOpen(disk, small)
				require.NoError(t, err, what)
				requireFilled(t, m, 6, 30)
				require.NoError(t, m.Close(), what)
			}
		}
	}
}

// The context of a Refresh ends it.
func TestRefreshContext(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	appendValues(t, partition(t, open(t, disk), "t", 0), 1)
	ro := openReadOnly(t, disk)
	ended, cancel := context.WithCancel(bg)
	cancel()
	require.ErrorIs(t, ro.Refresh(ended), context.Canceled)
}
