package wal_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// segmentFile is the path of a segment.
func segmentFile(number int) string { return fmt.Sprintf("%s/%020d.wal", dataDir, number) }

// threePartitions makes a closed log of several small segments: 60 records in each of three
// partitions of topic t, one a frame.
func threePartitions(t tester, o sim.Options) *sim.Disk {
	t.Helper()
	disk := newDisk(t, o)
	m, err := wal.Open(dataDir, repairOptions(disk)...)
	require.NoError(t, err)
	for range 60 {
		for id := range int32(3) {
			p := partition(t, m, "t", id)
			_, err := p.Append(bg, value60(id, p.NextOffset()))
			require.NoError(t, err)
		}
	}
	require.NoError(t, m.Close())
	return disk
}

// value60 is the record of threePartitions at an offset.
func value60(id int32, offset int64) wal.Record {
	return record("partition %d offset %d %0200d", id, offset, offset)
}

func verify(t tester, disk *sim.Disk, opts ...wal.Option) *wal.Report {
	t.Helper()
	report, err := wal.Verify(bg, dataDir, append(repairOptions(disk), opts...)...)
	require.NoError(t, err)
	require.Equal(t, len(report.Damage) == 0, report.OK)
	return report
}

func TestVerifySoundLog(t *testing.T) {
	for _, align := range []int{512, 4096} {
		disk := threePartitions(t, sim.Options{Alignment: align})
		report := verify(t, disk)
		require.True(t, report.OK)
		require.Equal(t, len(disk.Files(dataDir))-1, report.Segments)
		require.EqualValues(t, 180, report.Records)
		require.Zero(t, report.TornTailBytes)
		require.Greater(t, report.Bytes, int64(180*200))
	}
}

// Whatever bit of whatever file is flipped, Verify says so, once, in the right place.
func TestVerifyFindsEveryFlippedBit(t *testing.T) {
	disk := threePartitions(t, sim.Options{NoTrace: true})
	for _, name := range disk.Files(dataDir) {
		if strings.HasSuffix(name, ".key") {
			continue // holds nothing that is not elsewhere
		}
		path := dataDir + "/" + name
		size := int64(len(must(disk.ReadFile(path))))
		step := int64(127)
		if name == "00000000000000000002.wal" || name == "close.marker" {
			step = 5 * every
		}
		for at := int64(0); at < size; at += step {
			require.NoError(t, disk.FlipBit(path, at, int(at%8)))
			report := verify(t, disk)
			require.Len(t, report.Damage, 1, "%s, byte %d", name, at)
			d := report.Damage[0]
			require.Equal(t, name, d.Segment)
			require.True(t, d.Offset <= at && at < d.Offset+d.Length, "%s, byte %d: %v", name, at, d)
			require.NoError(t, disk.FlipBit(path, at, int(at%8)))
		}
	}
	require.True(t, verify(t, disk).OK)
}

// damage is a way to damage a log of threePartitions, and what Verify says to it.
type damage struct {
	name    string
	do      func(t tester, disk *sim.Disk)
	segment string // the first that is damaged
	reason  string
	lost    string // what of it
}

// damages are kinds of damage. The log has six segments of up to 18 frames.
func damages() []damage {
	edit := func(f func(disk *sim.Disk) error) func(tester, *sim.Disk) {
		return func(t tester, disk *sim.Disk) { require.NoError(t, f(disk)) }
	}
	replaced := func(f func(disk *sim.Disk, path string) error) func(tester, *sim.Disk) {
		return func(t tester, disk *sim.Disk) {
			require.NoError(t, disk.Delete(segmentFile(3)))
			require.NoError(t, f(disk, segmentFile(3)))
		}
	}
	return []damage{
		{"value", edit(func(d *sim.Disk) error { return d.FlipBit(segmentFile(2), 8300, 3) }),
			"00000000000000000002.wal", "CRC of the batch", "t/2 offsets 7 to 7"},
		{"frame header", edit(func(d *sim.Disk) error { return d.FlipBit(segmentFile(2), 8192+17, 3) }),
			"00000000000000000002.wal", "frame header: CRC", "t/2 offsets 7 to 7"},
		{"two frames zeroed", edit(func(d *sim.Disk) error { return d.Zero(segmentFile(2), 8192, 1024) }),
			"00000000000000000002.wal", "unwritten space", "t/0 offsets 8 to 8, t/2 offsets 7 to 7"},
		{"declarations zeroed", edit(func(d *sim.Disk) error { return d.Zero(segmentFile(2), 4096, 512) }),
			"00000000000000000002.wal", "unwritten space", ""},
		{"header", edit(func(d *sim.Disk) error { return d.Zero(segmentFile(2), 0, 4096) }),
			"00000000000000000002.wal", "not a segment", ""},
		{"footer zeroed", edit(func(d *sim.Disk) error { return zeroFooter(d, 2) }),
			"00000000000000000002.wal", "footer is gone", ""},
		{"misdirected block", edit(func(d *sim.Disk) error { return d.Misdirect(segmentFile(2), 8192, 12288, 512) }),
			"00000000000000000002.wal", "belongs at byte 8192", "t/1 offsets 10 to 10"},
		{"truncated", edit(func(d *sim.Disk) error { return d.Truncate(segmentFile(2), 8192) }),
			"00000000000000000002.wal", "the file ends early", "t/0 "},
		{"truncated in the footer", edit(func(d *sim.Disk) error { return truncateBy(d, 2, 1) }),
			"00000000000000000002.wal", "the file has", ""},
		{"empty", edit(func(d *sim.Disk) error { return d.Truncate(segmentFile(2), 0) }),
			"00000000000000000002.wal", "0 bytes of 4096", "t/0 "},
		{"first missing", edit(func(d *sim.Disk) error { return d.Delete(segmentFile(1)) }),
			"00000000000000000001.wal", "missing", "t/0 offsets 0 to "},
		{"middle missing", edit(func(d *sim.Disk) error { return d.Delete(segmentFile(3)) }),
			"00000000000000000003.wal", "segment 3 is missing", "t/0 "},
		{"two missing", edit(func(d *sim.Disk) error {
			return errorsJoin(d.Delete(segmentFile(3)), d.Delete(segmentFile(4)))
		}), "00000000000000000003.wal", "segments 3 to 4 are missing", "t/0 "},
		{"last missing", edit(func(d *sim.Disk) error { return d.Delete(lastSegment(d)) }),
			"", "is missing", ""},
		{"marker", edit(func(d *sim.Disk) error { return d.Zero(dataDir+"/close.marker", 0, 512) }),
			"close.marker", "magic", ""},
		{"of another log", func(t tester, d *sim.Disk) {
			require.NoError(t, d.WriteFile(segmentFile(3), must(threePartitions(t, sim.Options{}).ReadFile(segmentFile(3)))))
		}, "00000000000000000003.wal", "segment of another log", "t/0 "},
		{"another one's content", edit(func(d *sim.Disk) error {
			return d.WriteFile(segmentFile(3), must(d.ReadFile(segmentFile(4))))
		}), "00000000000000000003.wal", "header is that of segment 4", "t/0 "},
		{"link", replaced(func(d *sim.Disk, path string) error { return d.Symlink(segmentFile(2), path) }),
			"00000000000000000003.wal", "not a regular file", "t/0 "},
		{"FIFO", replaced(func(d *sim.Disk, path string) error { return d.Fifo(path) }),
			"00000000000000000003.wal", "not a regular file", "t/0 "},
	}
}

func errorsJoin(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func lastSegment(d *sim.Disk) string {
	files := d.Files(dataDir)
	files = slices.DeleteFunc(files, func(n string) bool { return !strings.HasSuffix(n, ".wal") })
	return dataDir + "/" + files[len(files)-1]
}

func truncateBy(d *sim.Disk, number int, n int64) error {
	return d.Truncate(segmentFile(number), int64(len(must(d.ReadFile(segmentFile(number)))))-n)
}

func zeroFooter(d *sim.Disk, number int) error {
	at, n, err := footerRange(d, number)
	if err != nil {
		return err
	}
	return d.Zero(segmentFile(number), at, n)
}

// footerRange returns where a segment's footer stands and how long it is.
func footerRange(d *sim.Disk, number int) (at, n int64, err error) {
	for i, err := range wal.Dump(bg, dataDir, wal.DumpOptions{Segment: uint64(number)}, repairOptions(d)...) {
		if err != nil {
			return 0, 0, err
		}
		if i.Kind == wal.DumpFooter {
			at, n = i.Position, i.Length
		}
	}
	return at, n, nil
}

func TestVerifyDamage(t *testing.T) {
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			disk := threePartitions(t, sim.Options{})
			d.do(t, disk)
			report := verify(t, disk)
			require.False(t, report.OK)
			first := report.Damage[0]
			if d.segment != "" {
				require.Equal(t, d.segment, first.Segment)
			}
			require.Contains(t, first.Reason, d.reason)
			var lost []string
			for _, s := range first.Partitions {
				require.Less(t, s.From, s.To)
				lost = append(lost, s.String())
			}
			slices.Sort(lost)
			if d.lost == "" {
				require.Empty(t, lost)
			} else {
				require.Contains(t, strings.Join(lost, ", "), d.lost)
			}
		})
	}
}

// A log of which only a stale segment is left where the newest stood: the close marker knows.
func TestVerifyStaleSegment(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	appendValues(t, p, 5)
	stale := must(disk.ReadFile(segmentFile(1)))
	appendValues(t, p, 5)
	require.NoError(t, m.Close())
	require.NoError(t, disk.WriteFile(segmentFile(1), stale))
	report := verify(t, disk)
	require.Len(t, report.Damage, 1)
	require.Equal(t, "00000000000000000001.wal", report.Damage[0].Segment)
	require.EqualValues(t, 5, report.Records)
}

func TestVerifyTornTail(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	appendValues(t, partition(t, m, "t", 0), 5)
	torn := crash(t, disk)
	require.NoError(t, m.Close())
	b := must(torn.ReadFile(segmentFile(1)))
	end := len(b)
	for end > 0 && b[end-1] == 0 {
		end--
	}
	require.NoError(t, torn.Zero(segmentFile(1), int64(end-60), 60)) // the last frame's directory
	report := verify(t, torn)
	require.True(t, report.OK)
	require.EqualValues(t, 4, report.Records)
	require.Positive(t, report.TornTailBytes)
}

// Beside a writer that appends, rotates, truncates and uses files again, Verify sees no
// damage, needs no lock and changes nothing.
func TestVerifyBesideWriter(t *testing.T) {
	disk := newDisk(t, sim.Options{NoTrace: true, Depth: 4})
	m, err := wal.Open(dataDir, repairOptions(disk)...)
	require.NoError(t, err)
	stop := make(chan struct{})
	done := run(func() error {
		for n := int64(0); ; n++ {
			select {
			case <-stop:
				return nil
			default:
			}
			p, err := m.Partition("t", int32(n%3))
			if err != nil {
				return err
			}
			if _, err := p.Append(bg, big(400, 'x'), big(300, 'y')); err != nil {
				return err
			}
			if n%50 < 3 {
				if err := p.TruncateBefore(bg, max(0, p.NextOffset()-20)); err != nil {
					return err
				}
			}
		}
	})
	for range 200 / every {
		report, err := wal.Verify(bg, dataDir, append(repairOptions(disk), wal.WithReadOnly())...)
		if err == nil {
			require.True(t, report.OK, "%v", report.Damage)
		} else {
			require.ErrorIs(t, err, wal.ErrNotLog) // before the first segment
		}
	}
	close(stop)
	require.NoError(t, <-done)
	require.NoError(t, m.Close())
}

func TestVerifyChangesNothing(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	require.NoError(t, disk.WriteFile(dataDir+"/prepare-1.tmp", []byte("left by a crash")))
	disk.ReadOnly(true)
	ops := disk.Ops()
	hash := disk.Hash()
	require.True(t, verify(t, disk).OK)
	require.Equal(t, hash, disk.Hash())
	tr := disk.Trace()
	for i := ops; i < disk.Ops(); i++ {
		t.Errorf("%+v", tr.Op(i))
	}
}

func TestVerifyErrors(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	_, err := wal.Verify(bg, "/none", repairOptions(disk)...)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, disk.Mkdir(dataDir))
	_, err = wal.Verify(bg, dataDir, repairOptions(disk)...)
	require.ErrorIs(t, err, wal.ErrNotLog)
	_, err = wal.Verify(bg, dataDir, wal.WithBackend(disk), wal.WithSegmentSize(1))
	require.ErrorIs(t, err, wal.ErrInvalid)

	disk = threePartitions(t, sim.Options{})
	ctx, cancel := context.WithCancel(bg)
	cancel()
	_, err = wal.Verify(ctx, dataDir, repairOptions(disk)...)
	require.ErrorIs(t, err, context.Canceled)
	disk.Inject(sim.Fault{Op: sim.OpRead, Name: "00000000000000000003.wal", After: 3})
	_, err = wal.Verify(bg, dataDir, repairOptions(disk)...)
	require.ErrorContains(t, err, "00000000000000000003.wal")
}

func TestVerifyProgress(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	var seen recorder[[2]int64]
	report := verify(t, disk, wal.WithProgress(func(done, total int64) { seen.add([2]int64{done, total}) }))
	list := seen.all()
	require.Len(t, list, report.Segments)
	last := int64(0)
	for _, p := range list {
		require.Equal(t, list[0][1], p[1])
		require.Greater(t, p[0], last)
		last = p[0]
	}
	require.Equal(t, last, list[0][1])
}

// An open trusts a sealed segment by its footer; who reads damaged frames of it is told, and Verify.
func TestSealedSegmentIsTrustedByItsFooter(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	at := bytes.Index(must(disk.ReadFile(segmentFile(1))), value60(1, 2).Value)
	require.NoError(t, disk.FlipBit(segmentFile(1), int64(at), 3))
	m, err := wal.Open(dataDir, append(repairOptions(disk), wal.WithReadOnly())...)
	require.NoError(t, err)
	lost := 0
	for id := range int32(3) {
		for _, err := range lookup(t, m, "t", id).Read(bg, 0) {
			if err != nil {
				require.ErrorIs(t, err, wal.ErrDamaged)
				lost++
			}
		}
	}
	require.NoError(t, m.Close())
	require.Equal(t, 1, lost)
	require.False(t, verify(t, disk).OK)
}
