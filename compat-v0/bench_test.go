package walv0_test

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	walv0 "github.com/chronik-go/wal/compat-v0"
	wal "github.com/chronik-go/wal/core"
)

var (
	benchSize   = flag.Int64("size", 64<<20, "size of what BenchmarkMigration migrates, bytes")
	benchRecord = flag.Int("record", 1024, "size of a record's value there, bytes")
)

// fill makes a v0 directory of V1 records, of one partition.
func fill(t testing.TB, dir string, size int64, record int) (records int64) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "t", "0"), 0o700))
	r := wal.Record{Value: []byte(strings.Repeat("v", record)), Key: []byte("key")}
	for part := 0; size > 0; part++ {
		f, err := os.Create(filepath.Join(dir, "t", "0", fmt.Sprintf("wal_0_%d.log", part)))
		require.NoError(t, err)
		w := bufio.NewWriterSize(f, 1<<20)
		for n := 0; n < 128<<20 && size > 0; records++ {
			r.Offset, r.Timestamp = records, time.UnixMilli(1_700_000_000_000+records)
			copy(r.Value, fmt.Sprintf("%020d", records))
			b, err := walv0.AppendV1(w.AvailableBuffer(), &r)
			require.NoError(t, err)
			_, err = w.Write(b)
			require.NoError(t, err)
			n += len(b)
			size -= int64(len(b))
		}
		require.NoError(t, w.Flush())
		require.NoError(t, f.Close())
	}
	return records
}

// peak is the most memory that the process has had, MB; 0 where the system does not tell.
func peak(t testing.TB) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	var kb float64
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, err := fmt.Sscan(rest, &kb)
			require.NoError(t, err)
		}
	}
	return kb * 1024 / 1e6
}

// BenchmarkMigration migrates there and back. MB/s are 10^6 bytes of v0 files, from the call to the end,
// verification included; rss-MB is the most memory that the process has had.
func BenchmarkMigration(b *testing.B) {
	b.Setenv("CHRONIK_WAL_SEGMENT_SIZE", "")
	dir := b.TempDir()
	v0 := filepath.Join(dir, "v0")
	fill(b, v0, *benchSize, *benchRecord)
	for _, way := range []string{"import", "export"} {
		b.Run(way, func(b *testing.B) {
			b.SetBytes(*benchSize)
			for n := range b.N {
				to := filepath.Join(dir, fmt.Sprint(way, n))
				var err error
				if way == "import" {
					_, err = walv0.Import(b.Context(), v0, to, walv0.Options{})
				} else {
					_, err = walv0.Export(b.Context(), filepath.Join(dir, "import0"), to, walv0.Options{})
				}
				require.NoError(b, err)
				if n > 0 || way == "export" {
					require.NoError(b, os.RemoveAll(to))
				}
			}
			b.ReportMetric(peak(b), "rss-MB")
		})
	}
}
