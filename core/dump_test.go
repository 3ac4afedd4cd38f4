package wal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

func dump(t tester, disk *sim.Disk, segment uint64) (items []wal.DumpItem) {
	t.Helper()
	for i, err := range wal.Dump(bg, dataDir, wal.DumpOptions{Segment: segment}, repairOptions(disk)...) {
		require.NoError(t, err)
		items = append(items, i)
	}
	return items
}

// A footer that counts as none for its padding is shown, and not as a sound one.
func TestDumpOfAFooterWithDamagedPadding(t *testing.T) {
	disk := newDisk(t, sim.Options{Alignment: 4096})
	m := open(t, disk)
	appendValues(t, partition(t, m, "t", 7), 1)
	require.NoError(t, m.Close())
	require.NoError(t, disk.Edit(segmentFile(1), func(b []byte) []byte {
		b[len(b)-format.TrailerSize-1] = 1
		return b
	}))
	errors := map[wal.DumpKind]string{}
	for _, i := range dump(t, disk, 1) {
		errors[i.Kind] += i.Error
	}
	require.Contains(t, errors[wal.DumpFooter], "the padding of the footer is not zeros")
	require.Empty(t, errors[wal.DumpData])
	require.Empty(t, errors[wal.DumpIndexed])
}

// Dump shows every byte of a sealed segment once: header, frames, footer, one behind the
// other; and all that was written, in order.
func TestDumpShowsEverything(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	at, segment, records := int64(0), "", map[string]bool{}
	kinds := map[wal.DumpKind]int{}
	for _, i := range dump(t, disk, 0) {
		require.Empty(t, i.Error)
		kinds[i.Kind]++
		switch i.Kind {
		case wal.DumpHeader:
			at, segment = i.Length, i.Segment
			require.Equal(t, fmt.Sprintf("%020d.wal", i.Header.Number), segment)
		case wal.DumpFrame, wal.DumpFooter:
			require.Equal(t, segment, i.Segment)
			require.Equal(t, at, i.Position)
			at += (i.Length + 511) &^ 511
			if i.Kind == wal.DumpFooter {
				require.EqualValues(t, len(must(disk.ReadFile(dataDir+"/"+segment))), at)
				require.Equal(t, i.Position, i.Footer.End.End)
			}
		case wal.DumpRecord:
			r := i.Record
			require.Equal(t, string(value60(r.Partition, r.Offset).Value), string(r.Value))
			require.Contains(t, string(must(disk.ReadFile(dataDir + "/" + segment))[i.Position:i.Position+i.Length]), string(r.Value))
			require.False(t, r.Timestamp.IsZero())
			records[fmt.Sprint(r.Topic, r.Partition, r.Offset)] = true
		case wal.DumpMarker:
			require.Equal(t, segment, fmt.Sprintf("%020d.wal", i.End.Segment))
		}
	}
	require.Len(t, records, 180)
	require.Equal(t, 180, kinds[wal.DumpData])
	require.Equal(t, 1, kinds[wal.DumpMarker])
	require.Equal(t, kinds[wal.DumpHeader], kinds[wal.DumpFooter])
	require.Equal(t, kinds[wal.DumpHeader]*3, kinds[wal.DumpIndexed])
}

func TestDumpControlEntries(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 7)
	appendValues(t, p, 5)
	require.NoError(t, p.TruncateBefore(bg, 2))
	require.NoError(t, p.TruncateAfter(bg, 3))
	ack, err := p.AppendAt(bg, 10, wal.Record{Key: []byte("k"), Headers: []wal.Header{{Key: "h", Value: []byte("v")}}})
	require.NoError(t, err)
	require.NoError(t, ack.Wait(bg))
	require.NoError(t, m.Close())
	var entries []string
	for _, i := range dump(t, disk, 0) {
		if e := i.Entry; e != nil {
			require.Equal(t, "t", e.Topic)
			require.EqualValues(t, 7, e.Partition)
			entries = append(entries, fmt.Sprintf("%s %d+%d gap %d", i.Kind, e.Base, e.Count, e.Gap))
		}
		if r := i.Record; r != nil && r.Offset == 10 {
			require.Equal(t, "k", string(r.Key))
			require.Nil(t, r.Value)
			require.Equal(t, []wal.DumpRecordHeader{{Key: "h", Value: []byte("v")}}, r.Headers)
		}
	}
	require.Equal(t, "declare 0+0 gap 0, data 0+1 gap 0, data 1+1 gap 0, data 2+1 gap 0, data 3+1 gap 0, data 4+1 gap 0, "+
		"truncate-before 2+0 gap 0, truncate-after 4+0 gap 0, data 10+1 gap 6", strings.Join(entries, ", "))
}

// Where something is damaged Dump says so and goes on.
func TestDumpDamage(t *testing.T) {
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			disk := threePartitions(t, sim.Options{})
			d.do(t, disk)
			hash := disk.Hash()
			disk.ReadOnly(true)
			bad, records := 0, 0
			for _, i := range dump(t, disk, 0) {
				if i.Error != "" {
					bad++
				}
				if i.Kind == wal.DumpRecord {
					records++
				}
			}
			require.Equal(t, hash, disk.Hash())
			require.Greater(t, records, 100)
			require.Positive(t, bad)
		})
	}
}

func TestDumpOneSegment(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	for _, i := range dump(t, disk, 2) {
		require.Equal(t, "00000000000000000002.wal", i.Segment)
	}
	require.NotEmpty(t, dump(t, disk, 2))
	for _, err := range wal.Dump(bg, dataDir, wal.DumpOptions{Segment: 99}, repairOptions(disk)...) {
		require.ErrorIs(t, err, wal.ErrNoSegment)
		require.EqualError(t, err, "no such segment: 99")
	}
}

func TestDumpEnds(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	n := 0
	for _, err := range wal.Dump(bg, dataDir, wal.DumpOptions{}, repairOptions(disk)...) {
		require.NoError(t, err)
		if n++; n == 5 {
			break
		}
	}
	require.Equal(t, 5, n)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	for _, err := range wal.Dump(ctx, dataDir, wal.DumpOptions{}, repairOptions(disk)...) {
		require.ErrorIs(t, err, context.Canceled)
	}
	empty := newDisk(t, sim.Options{})
	require.NoError(t, empty.Mkdir(dataDir))
	for _, err := range wal.Dump(bg, dataDir, wal.DumpOptions{}, repairOptions(empty)...) {
		require.ErrorIs(t, err, wal.ErrNotLog)
	}
	for _, err := range wal.Dump(bg, "/none", wal.DumpOptions{}, repairOptions(empty)...) {
		require.Error(t, err)
	}
}

// An unsealed log: frames so far, then the rest, which is nothing.
func TestDumpBesideWriter(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	appendValues(t, partition(t, m, "t", 0), 3)
	items := dump(t, disk, 0)
	require.Equal(t, wal.DumpRest, items[len(items)-1].Kind)
	require.Equal(t, "unwritten space", items[len(items)-1].Note)
	for _, i := range items {
		require.Empty(t, i.Error)
	}
	require.Equal(t, wal.DumpRecord, items[len(items)-2].Kind)
	require.NoError(t, m.Close())
}

func TestDumpItemJSON(t *testing.T) {
	disk := threePartitions(t, sim.Options{})
	for _, i := range dump(t, disk, 1) {
		b, err := json.Marshal(i)
		require.NoError(t, err)
		var back wal.DumpItem
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, i.Kind, back.Kind)
		require.Equal(t, i.Position, back.Position)
		require.NotContains(t, string(b), "0001-01-01")
		if i.Header != nil {
			require.Contains(t, string(b), fmt.Sprintf(`"epoch":"%016x"`, uint64(i.Header.Epoch)))
			require.Equal(t, i.Header.Epoch, back.Header.Epoch)
		}
		if i.Footer != nil {
			require.Contains(t, string(b), fmt.Sprintf(`"xxh64":"%016x"`, uint64(i.Footer.XXH64)))
			require.Equal(t, i.Footer.XXH64, back.Footer.XXH64)
		}
		set := strings.Count(string(b), `"header":{`) + strings.Count(string(b), `"frame":{`) + strings.Count(string(b), `"entry":{`) +
			strings.Count(string(b), `"record":{`) + strings.Count(string(b), `"footer":{`) + strings.Count(string(b), `"partition":{`)
		require.Equal(t, 1, set, string(b))
	}
}
