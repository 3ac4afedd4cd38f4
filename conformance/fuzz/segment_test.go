package fuzz

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

const (
	dataDir    = "/d"
	quarantine = "/q"
)

// smallLog are options for logs that cost little to open.
func smallLog(disk *sim.Disk, more ...wal.Option) []wal.Option {
	return append([]wal.Option{
		wal.WithBackend(disk), wal.WithFsyncMode(wal.FsyncAlways), wal.WithSegmentSize(wal.MinSegmentSize),
		wal.WithBufferSize(wal.MinBufferSize), wal.WithMaxRecordSize(1 << 20),
	}, more...)
}

// In a mode of FuzzSegment, beside what mend knows: which segment the bytes are, and whether
// the log says that it was closed.
const (
	asSecond = 8
	asThird  = 16
	closed   = 32
)

// FuzzSegment takes arbitrary bytes for a segment in a log's directory. Whatever they are,
// the log opens or tells why not, within bounded memory and time, each way there is to look
// at it; a repair that says that it is done has done it.
func FuzzSegment(f *testing.F) {
	segments := built()
	for i, how := range []byte{0, asSecond, asThird} {
		b := compact(segments[i].file)
		for _, m := range []byte{0, mendSums, mendSums | mendPlaces, mendSums | mendPlaces | mendEnd, closed} {
			f.Add(how|m, b)
		}
	}
	f.Add(byte(0), []byte{})
	f.Fuzz(func(t *testing.T, how byte, b []byte) {
		if len(b) > 64<<10 {
			return
		}
		disk := segmentDisk(t, segments, how, b)
		// Each of the ways to look at it reads it a few times and makes buffers of 32 KiB.
		guarded(t, 24<<20+300*uint64(len(b)), func() { lookAt(t, disk) })
	})
}

// segmentDisk makes the disk that an input describes.
func segmentDisk(t *testing.T, segments []*builder, how byte, b []byte) *sim.Disk {
	number := 1
	if how&asSecond != 0 {
		number = 2
	}
	if how&asThird != 0 {
		number = 3
	}
	disk := sim.New(sim.Options{NoTrace: true})
	require.NoError(t, disk.Mkdir(dataDir))
	put := func(number int, file []byte) {
		require.NoError(t, disk.WriteFile(fmt.Sprintf("%s/%020d.wal", dataDir, number), file))
	}
	prev := format.Link{}
	if number > 1 {
		prev = segments[number-2].end
	}
	file := expand(b)
	mend(file, uint64(number), prev, how)
	for i, s := range segments {
		put(i+1, s.file)
	}
	put(number, file)
	if how&closed != 0 {
		marker := make([]byte, format.MarkerSize)
		format.PutMarker(marker, format.Marker{Log: logID, End: segments[2].end})
		require.NoError(t, disk.WriteFile(dataDir+"/close.marker", marker))
	}
	return disk
}

// lookAt opens a log of unknown content in every way.
func lookAt(t *testing.T, disk *sim.Disk) {
	m, err := wal.Open(dataDir, smallLog(disk, wal.WithReadOnly())...)
	requireTyped(t, err)
	if err == nil {
		_ = readAll(t, m, nil)
		require.NoError(t, m.Close())
	}
	m, err = wal.Open(dataDir, smallLog(disk, wal.WithReadOnly(), wal.WithAllowDamage())...)
	requireTyped(t, err)
	if err == nil {
		_ = readAll(t, m, nil)
		require.NoError(t, m.Close())
	}
	report, err := wal.Verify(bg, dataDir, smallLog(disk)...)
	requireTyped(t, err)
	if err == nil {
		require.Equal(t, len(report.Damage) == 0, report.OK)
	}
	writeTo(t, disk.Clone())
	repair(t, disk, err == nil && report.OK)
	require.Zero(t, disk.OpenHandles())
}

// readAll reads a log in every way and gives each record to see, if that is not nil. It returns
// the first error, which is a typed one.
func readAll(t *testing.T, m *wal.Manager, see func(p *wal.Partition, r wal.Record)) (failed error) {
	note := func(err error) {
		requireTyped(t, err, wal.ErrOffsetOutOfRange)
		failed = errors.Join(failed, err)
	}
	for _, info := range m.Partitions() {
		p, err := m.Lookup(info.Topic, info.Partition)
		require.NoError(t, err)
		last := p.FirstOffset() - 1
		for r, err := range p.Read(bg, p.FirstOffset()) {
			if err != nil {
				note(err)
				continue
			}
			require.Greater(t, r.Offset, last, "%v", p)
			require.Less(t, r.Offset, p.NextOffset(), "%v", p)
			if last = r.Offset; see != nil {
				see(p, r)
			}
		}
	}
	for _, err := range m.Replay(bg) {
		if err != nil {
			note(err)
		}
	}
	_, err := m.Segments()
	note(err)
	return failed
}

// writeTo opens a log for writing, if it lets itself be opened, and appends: what was
// acknowledged is there after opening it again.
func writeTo(t *testing.T, disk *sim.Disk) {
	m, err := wal.Open(dataDir, smallLog(disk)...)
	requireTyped(t, err)
	if err != nil {
		return
	}
	var parts []wal.PartitionInfo
	for _, info := range append(m.Partitions(), wal.PartitionInfo{Topic: "new", Partition: 1}) {
		p, err := m.Partition(info.Topic, info.Partition)
		if err != nil { // its name came from the bytes
			require.ErrorIs(t, err, wal.ErrInvalid)
			continue
		}
		offset, err := p.Append(bg, record(0))
		if err != nil { // so did its offsets
			require.ErrorIs(t, err, wal.ErrOffsetOutOfRange)
			continue
		}
		info.NextOffset = offset + 1
		parts = append(parts, info)
	}
	require.NoError(t, m.Close())
	m, err = wal.Open(dataDir, smallLog(disk)...)
	require.NoError(t, err)
	for _, info := range parts {
		p, err := m.Lookup(info.Topic, info.Partition)
		require.NoError(t, err)
		require.Equal(t, info.NextOffset, p.NextOffset(), "%v", p)
		for r, err := range p.Read(bg, info.NextOffset-1) {
			require.NoError(t, err)
			require.Equal(t, record(0).Value, r.Value)
		}
	}
	require.NoError(t, m.Close())
}

// repair repairs a log. If that succeeds the log is sound; if it was sound, nothing changes.
func repair(t *testing.T, disk *sim.Disk, sound bool) {
	before := disk.Hash()
	report, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, smallLog(disk)...)
	requireTyped(t, err)
	if sound {
		require.NoError(t, err)
		require.Empty(t, report.Damage)
		require.Equal(t, before, disk.Hash(), "a sound log is left alone")
	}
	if err != nil {
		return
	}
	again, err := wal.Verify(bg, dataDir, smallLog(disk)...)
	if errors.Is(err, wal.ErrNotLog) {
		return // nothing was left
	}
	require.NoError(t, err)
	require.True(t, again.OK, "%v", again.Damage)
	m, err := wal.Open(dataDir, smallLog(disk)...)
	require.NoError(t, err, "opens after %v", report.Actions)
	_ = readAll(t, m, nil)
	require.NoError(t, m.Close())
}

// The log that the inputs begin with is a sound one, and mending leaves it as it is: else all
// changes of it would end at the same first check.
func TestBuiltLogIsSound(t *testing.T) {
	segments := built()
	for i, how := range []byte{0, asSecond, asThird} {
		for _, m := range []byte{0, mendSums, mendSums | mendPlaces} {
			disk := segmentDisk(t, segments, how|m|closed, compact(segments[i].file))
			report, err := wal.Verify(bg, dataDir, smallLog(disk)...)
			require.NoError(t, err)
			require.True(t, report.OK, "segment %d, mode %d: %v", i+1, m, report.Damage)
			require.EqualValues(t, 7, report.Records)
			require.EqualValues(t, 3, report.Segments)
			lookAt(t, disk)
		}
	}
}
