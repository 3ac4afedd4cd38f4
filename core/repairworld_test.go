package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// written is a log on a simulated disk and all that was ever written to it.
type written struct {
	disk  *sim.Disk
	log   *wal.Manager
	parts []*writtenPart
	n     int
	old   map[string][]byte // files as they were at some earlier time
}

// writtenPart is a partition: what is live, and what ever had an offset.
type writtenPart struct {
	topic       string
	id          int32
	first, next int64
	live        map[int64]string
	ever        map[int64][]string
}

func repairOptions(disk *sim.Disk) []wal.Option {
	return append([]wal.Option{
		wal.WithBackend(disk), wal.WithFsyncMode(wal.FsyncAlways), wal.WithSegmentSize(16 << 10),
		wal.WithBufferSize(64 << 10), wal.WithMoveLimit(48 << 10), wal.WithRecycleLimit(1),
	}, moreOptions...)
}

// newWritten writes a random log, and closes it or crashes.
func newWritten(t *rapid.T) *written {
	align := rapid.SampledFrom([]int{512, 4096}).Draw(t, "alignment")
	w := &written{disk: sim.New(sim.Options{Alignment: align}), old: map[string][]byte{}}
	for i := range rapid.IntRange(1, 4).Draw(t, "partitions") {
		w.parts = append(w.parts, &writtenPart{
			topic: fmt.Sprintf("t%d", i%2), id: int32(i), live: map[int64]string{}, ever: map[int64][]string{},
		})
	}
	w.open(t)
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		w.step(t)
	}
	w.end(t)
	return w
}

// end closes the log or crashes.
func (w *written) end(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "end") > 0 {
		require.NoError(t, w.log.Close())
	} else {
		w.crash(t)
	}
}

func (w *written) open(t *rapid.T) {
	var err error
	w.log, err = wal.Open(dataDir, repairOptions(w.disk)...)
	require.NoError(t, err)
	m := w.log
	t.Cleanup(func() { _ = m.Close() }) // rapid gives up some runs in the middle
}

func (w *written) crash(*rapid.T) {
	disk := w.disk.Image(sim.Image{Mode: sim.DropAll})
	w.disk.Crash()
	_ = w.log.Close()
	w.disk = disk
}

func (w *written) step(t *rapid.T) {
	switch k := rapid.IntRange(0, 20).Draw(t, "step"); {
	case k == 0:
		require.NoError(t, w.log.Close())
		w.open(t)
	case k == 1:
		w.crash(t)
		w.open(t)
	case k == 2:
		for _, name := range w.disk.Files(dataDir) {
			if b, err := w.disk.ReadFile(dataDir + "/" + name); err == nil {
				w.old[name] = b
			}
		}
	default:
		w.write(t, k)
	}
}

func (w *written) write(t *rapid.T, k int) {
	m := rapid.SampledFrom(w.parts).Draw(t, "partition")
	p, err := w.log.Partition(m.topic, m.id)
	require.NoError(t, err)
	switch {
	case k == 3 && m.next > m.first:
		m.first = rapid.Int64Range(m.first, m.next).Draw(t, "first")
		require.NoError(t, p.TruncateBefore(bg, m.first))
		for o := range m.live {
			if o < m.first {
				delete(m.live, o)
			}
		}
	case k == 4 && m.next > m.first:
		m.next = rapid.Int64Range(m.first, m.next).Draw(t, "next")
		require.NoError(t, p.TruncateAfter(bg, m.next-1))
		for o := range m.live {
			if o >= m.next {
				delete(m.live, o)
			}
		}
	case k == 5:
		m.next += rapid.Int64Range(0, 5).Draw(t, "gap")
		at := m.next
		ack, err := p.AppendAt(bg, at, w.records(t, m, 1)...)
		require.NoError(t, err)
		require.NoError(t, ack.Wait(bg))
	default:
		w.appendMany(t)
	}
}

// appendMany appends batches to random partitions, several to a frame.
func (w *written) appendMany(t *rapid.T) {
	var acks []wal.Ack
	for range rapid.IntRange(1, 6).Draw(t, "batches") {
		m := rapid.SampledFrom(w.parts).Draw(t, "partition")
		p, err := w.log.Partition(m.topic, m.id)
		require.NoError(t, err)
		ack, err := p.AppendAsync(bg, w.records(t, m, rapid.IntRange(1, 4).Draw(t, "records"))...)
		require.NoError(t, err)
		acks = append(acks, ack)
	}
	for _, a := range acks {
		require.NoError(t, a.Wait(bg))
	}
}

// records makes records that no others are like.
func (w *written) records(t *rapid.T, m *writtenPart, n int) (list []wal.Record) {
	for range n {
		w.n++
		v := fmt.Sprintf("%s/%d@%d #%d %s", m.topic, m.id, m.next, w.n, strings.Repeat("x", rapid.IntRange(0, 900).Draw(t, "size")))
		m.live[m.next] = v
		m.ever[m.next] = append(m.ever[m.next], v)
		m.next++
		list = append(list, wal.Record{Value: []byte(v)})
	}
	return list
}

// diskBatch is a batch as it lies in a segment.
type diskBatch struct {
	segment           string
	header, data, dir [2]int64 // byte ranges
	topic             string
	partition         int32
	cut               bool // a truncation of the suffix
	moved             bool
	torn              bool // may pass for a torn tail
	values            map[int64]string
}

// batches lists the batches on the disk.
func batches(t tester, disk *sim.Disk) (list []*diskBatch) {
	var frame wal.DumpItem
	for i, err := range wal.Dump(bg, dataDir, wal.DumpOptions{}, repairOptions(disk)...) {
		if errors.Is(err, wal.ErrNotLog) {
			return nil
		}
		require.NoError(t, err)
		switch i.Kind {
		case wal.DumpFrame:
			frame = i
		case wal.DumpData, "truncate-after":
			end := frame.Position + frame.Length
			list = append(list, &diskBatch{
				segment: i.Segment, header: [2]int64{frame.Position, frame.Position + 64},
				dir: [2]int64{end - int64(frame.Frame.Entries)*48, end}, data: [2]int64{i.Position, i.Position + i.Length},
				topic: i.Entry.Topic, partition: i.Entry.Partition, cut: i.Kind != wal.DumpData, moved: i.Entry.Moved, values: map[int64]string{},
			})
		case wal.DumpRecord:
			list[len(list)-1].values[i.Record.Offset] = string(i.Record.Value)
		}
	}
	return list
}

// knownNames are the partitions whose names can still be read somewhere.
func knownNames(t tester, disk *sim.Disk) map[string]bool {
	known := map[string]bool{}
	for i, err := range wal.Dump(bg, dataDir, wal.DumpOptions{}, repairOptions(disk)...) {
		if errors.Is(err, wal.ErrNotLog) {
			return nil
		}
		require.NoError(t, err)
		switch {
		case i.Kind == wal.DumpDeclare && i.Error == "":
			known[fmt.Sprint(i.Entry.Topic, i.Entry.Partition)] = true
		case i.Kind == wal.DumpIndexed:
			known[fmt.Sprint(i.Partition.Topic, i.Partition.Partition)] = true
		}
	}
	return known
}

// openEnds are the segments whose end nothing tells any more: damage near their last frame
// looks like a torn tail.
func openEnds(t tester, disk *sim.Disk) map[string]bool {
	open := map[string]bool{}
	for i, err := range wal.Dump(bg, dataDir, wal.DumpOptions{}, repairOptions(disk)...) {
		if errors.Is(err, wal.ErrNotLog) {
			return nil
		}
		require.NoError(t, err)
		name := func(n uint64) string { return fmt.Sprintf("%020d.wal", n) }
		switch {
		case i.Kind == wal.DumpHeader:
			if _, known := open[i.Segment]; !known {
				open[i.Segment] = true
			}
			if i.Header != nil {
				open[name(i.Header.Predecessor.Segment)] = false
			}
		case i.Kind == wal.DumpFooter && i.Error == "":
			open[i.Segment] = false
		case i.Kind == wal.DumpMarker:
			open[name(i.End.Segment)] = false
		}
	}
	return open
}

// spoil damages the disk in some way.
func (w *written) spoil(t *rapid.T, disk *sim.Disk) string {
	files := disk.Files(dataDir)
	files = slices.DeleteFunc(files, func(n string) bool { return !strings.HasSuffix(n, ".wal") && n != "close.marker" })
	if len(files) == 0 {
		return "nothing"
	}
	name := rapid.SampledFrom(files).Draw(t, "file")
	path := dataDir + "/" + name
	b, err := disk.ReadFile(path)
	if err != nil || len(b) == 0 {
		return "nothing"
	}
	at := rapid.Int64Range(0, int64(len(b))-1).Draw(t, "at")
	switch k := rapid.IntRange(0, 12).Draw(t, "damage"); k {
	case 0:
		require.NoError(t, disk.Delete(path))
		return "delete " + name
	case 1:
		require.NoError(t, disk.Truncate(path, at))
		return fmt.Sprintf("truncate %s to %d", name, at)
	case 2, 3:
		n := min(rapid.Int64Range(1, 9000).Draw(t, "length"), int64(len(b))-at)
		require.NoError(t, disk.Zero(path, at, n))
		return fmt.Sprintf("zero %s %d+%d", name, at, n)
	case 4:
		from := rapid.Int64Range(0, int64(len(b))-1).Draw(t, "from") &^ 511
		n := min(int64(4096), int64(len(b))-from, int64(len(b))-at&^511)
		require.NoError(t, disk.Misdirect(path, from, at&^511, n))
		return fmt.Sprintf("misdirect %s %d to %d", name, from, at&^511)
	case 5:
		if old := w.old[name]; old != nil {
			require.NoError(t, disk.WriteFile(path, old))
			return "stale " + name
		}
	case 6:
		other := rapid.SampledFrom(files).Draw(t, "other")
		if ob, err := disk.ReadFile(dataDir + "/" + other); err == nil && other != "close.marker" && name != "close.marker" {
			require.NoError(t, disk.WriteFile(path, ob))
			return other + " over " + name
		}
	case 7:
		require.NoError(t, disk.Delete(path))
		require.NoError(t, disk.Symlink("/elsewhere", path))
		return "link " + name
	}
	bit := rapid.IntRange(0, 7).Draw(t, "bit")
	require.NoError(t, disk.FlipBit(path, at, bit))
	return fmt.Sprintf("flip %s %d.%d", name, at, bit)
}

// same reports whether a range of a file has not changed.
func same(a, b []byte, r [2]int64) bool {
	return r[1] <= int64(len(a)) && r[1] <= int64(len(b)) && bytes.Equal(a[r[0]:r[1]], b[r[0]:r[1]])
}

// readAll reads a partition, holes included.
func readAll(t tester, p *wal.Partition) (values map[int64]string, lost []wal.PartitionSpan) {
	values = map[int64]string{}
	for r, err := range p.Read(bg, p.FirstOffset()) {
		var l *wal.LostError
		if errors.As(err, &l) {
			lost = append(lost, l.PartitionSpan)
			continue
		}
		require.NoError(t, err)
		values[r.Offset] = string(r.Value)
	}
	return values, lost
}
