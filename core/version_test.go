package wal_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// A frame of a later version at the end of the log is no torn tail: this version refuses the
// log, and changes nothing. One that a recycled file still holds is none of the log.
func TestFrameOfALaterVersion(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	p := partition(t, m, "t", 0)
	appendValues(t, p, 3)
	disk = crash(t, disk)
	for _, ours := range []bool{true, false} {
		later := disk.Clone()
		require.NoError(t, later.Edit(segmentFile(1), func(b []byte) []byte {
			at := lastFrame(t, b)
			binary.LittleEndian.PutUint32(b[at+4:], 1) // flags
			if !ours {
				b[at+16]++ // epoch
			}
			sum := crc32.Checksum(b[at:at+format.FrameHeaderSize-4], crc32.MakeTable(crc32.Castagnoli))
			binary.LittleEndian.PutUint32(b[at+format.FrameHeaderSize-4:], sum)
			_, err := format.ReadFrameHeader(b[at:])
			require.ErrorIs(t, err, format.ErrVersion)
			return b
		}))
		before := later.Hash()
		m, err := wal.Open(dataDir, wal.WithBackend(later))
		if !ours {
			require.NoError(t, err)
			require.EqualValues(t, 2, lookup(t, m, "t", 0).NextOffset())
			require.NoError(t, m.Close())
			continue
		}
		require.ErrorIs(t, err, format.ErrVersion)
		require.NotErrorIs(t, err, wal.ErrDamaged)
		_, err = wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: "/q"}, wal.WithBackend(later))
		require.ErrorIs(t, err, format.ErrVersion)
		require.Equal(t, before, later.Hash())
	}
}

// A frame whose checksums all hold and whose content cannot be is damage, not a torn tail: no
// crash leaves it behind. Verify says so of records too, which an open does not look at.
func TestWholeFrameThatCannotBeIsDamage(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk)
	appendValues(t, partition(t, m, "t", 0), 3)
	disk = crash(t, disk)
	for name, spoil := range map[string]func(directory, data []byte){
		"record": func(_, data []byte) { data[0]++ },
		"entry":  func(directory, _ []byte) { directory[15] = 0x80 }, // a negative offset
	} {
		after := disk.Clone()
		require.NoError(t, after.Edit(segmentFile(1), func(b []byte) []byte {
			forgeFrame(t, b[lastFrame(t, b):], spoil)
			return b
		}))
		report, err := wal.Verify(bg, dataDir, wal.WithBackend(after))
		require.NoError(t, err)
		require.False(t, report.OK, name)
		require.Zero(t, report.TornTailBytes, name)
		m, err := wal.Open(dataDir, wal.WithBackend(after))
		if name == "entry" {
			require.ErrorIs(t, err, wal.ErrDamaged)
			continue
		}
		require.NoError(t, err)
		require.ErrorIs(t, readError(lookup(t, m, "t", 0), 2), wal.ErrDamaged)
		require.NoError(t, m.Close())
	}
}

// forgeFrame changes a frame of one entry and puts its checksums right.
func forgeFrame(t *testing.T, b []byte, change func(directory, data []byte)) {
	t.Helper()
	h, err := format.ReadFrameHeader(b)
	require.NoError(t, err)
	require.Equal(t, 1, h.Entries)
	data, directory := b[format.FrameHeaderSize:h.DirectoryAt()], b[h.DirectoryAt():h.Length]
	change(directory, data)
	binary.LittleEndian.PutUint32(directory[36:], format.CRC(data))
	h.DirectoryCRC = format.CRC(directory)
	format.PutFrameHeader(b, h)
}

// lastFrame is where the last frame of a segment stands.
func lastFrame(t *testing.T, b []byte) (last int) {
	t.Helper()
	for at := format.HeaderSize; at+format.FrameHeaderSize <= len(b); at += format.MinAlignment {
		if format.IsFrame(b[at:]) {
			last = at
		}
	}
	require.NotZero(t, last)
	return last
}
