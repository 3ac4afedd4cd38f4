package wal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// These tests change an encrypted log as somebody would who knows the format, has all but the
// key, and computes every checksum anew.

// sealedRow makes a log of one segment, not closed: frames of one record each, all of one size, in
// turn of partitions 0 and 1.
func sealedRow(t tester, disk *sim.Disk) *sim.Disk {
	t.Helper()
	m := open(t, disk, withKeys)
	for i := range 10 {
		_, err := partition(t, m, "t", int32(i%2)).Append(bg, record("record %02d", i))
		require.NoError(t, err)
	}
	return crash(t, disk)
}

// forged is a segment in memory whose frames are to be changed.
type forged struct {
	b  []byte
	at []int64 // of the frames that hold data
}

func forge(t tester, b []byte) *forged {
	t.Helper()
	f := &forged{b: bytes.Clone(b)}
	h0 := mustHeader(t, b)
	for at := int64(format.HeaderSize); at+format.FrameHeaderSize <= int64(len(b)); {
		h, err := format.ReadFrameHeader(b[at:])
		if err != nil || h.Epoch != h0.Epoch {
			break
		}
		entries, err := format.ReadDirectory(nil, h, b[at+h.DirectoryAt():at+h.Length])
		require.NoError(t, err)
		if entries[0].Kind == format.KindData {
			f.at = append(f.at, at)
		}
		at += format.AlignUp(h.Length, h0.Alignment)
	}
	return f
}

// data is that of frame i.
func (f *forged) data(i int) []byte {
	h, _ := format.ReadFrameHeader(f.b[f.at[i]:])
	return f.b[f.at[i]+format.FrameHeaderSize : f.at[i]+h.DirectoryAt()]
}

// entry is the directory entry of frame i.
func (f *forged) entry(i int) []byte {
	h, _ := format.ReadFrameHeader(f.b[f.at[i]:])
	return f.b[f.at[i]+h.DirectoryAt() : f.at[i]+h.Length]
}

// seal makes all checksums right again.
func (f *forged) seal(t tester) []byte {
	t.Helper()
	head := mustHeader(t, f.b)
	chain := uint32(0)
	for at := int64(format.HeaderSize); at+format.FrameHeaderSize <= int64(len(f.b)); {
		h, err := format.ReadFrameHeader(f.b[at:])
		if err != nil || h.Epoch != head.Epoch {
			break
		}
		directory := f.b[at+h.DirectoryAt() : at+h.Length]
		data := f.b[at+format.FrameHeaderSize:]
		for e := directory; len(e) > 0; e = e[format.EntrySize:] {
			n := binary.LittleEndian.Uint32(e[28:])
			if n > 0 {
				binary.LittleEndian.PutUint32(e[36:], format.CRC(data[:n]))
			}
			data = data[n:]
		}
		h.DirectoryCRC, h.Chain = format.CRC(directory), chain
		chain = format.PutFrameHeader(f.b[at:], h)
		at += format.AlignUp(h.Length, head.Alignment)
	}
	return f.b
}

func TestTamperedRecordsAreRefused(t *testing.T) {
	disk := sealedRow(t, newDisk(t, sim.Options{}))
	original := must(disk.ReadFile(segmentFile(1)))
	intact := forge(t, original)
	require.Len(t, intact.at, 10)
	le := binary.LittleEndian
	tests := map[string]func(f *forged){
		"two batches of a partition change places": func(f *forged) {
			a, b := f.data(2), bytes.Clone(f.data(4))
			copy(f.data(4), a)
			copy(f.data(2), b)
		},
		"a batch of another partition":  func(f *forged) { copy(f.data(4), f.data(3)) },
		"the partitions change names":   func(f *forged) { f.exchangeIDs() },
		"an earlier batch comes again":  func(f *forged) { copy(f.data(8), f.data(6)) },
		"the time of a batch":           func(f *forged) { f.entry(4)[40] ^= 1 },
		"another topic is declared":     func(f *forged) { f.renameTopic() },
		"another codec is said":         func(f *forged) { f.entry(4)[5] ^= 1 },
		"key id":                        func(f *forged) { f.data(4)[0] ^= 1 },
		"counter":                       func(f *forged) { f.data(4)[8] ^= 1 },
		"a record less than there is":   func(f *forged) { le.PutUint32(f.entry(4)[24:], 2) },
		"an offset later, behind a gap": func(f *forged) { f.shift() },
		"ciphertext":                    func(f *forged) { f.data(4)[20] ^= 0x80 },
		"the tag":                       func(f *forged) { d := f.data(4); d[len(d)-1] ^= 1 },
		"what is sealed is said to be plain": func(f *forged) {
			f.entry(4)[5] = 0
			le.PutUint32(f.entry(4)[32:], le.Uint32(f.entry(4)[28:]))
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			f := forge(t, original)
			change(f)
			disk := disk.Clone()
			require.NoError(t, disk.Overwrite(segmentFile(1), 0, f.seal(t)))
			m, err := tryOpen(disk, withKeys, wal.WithReadOnly())
			if err != nil {
				require.ErrorIs(t, err, wal.ErrDamaged)
				return
			}
			refused := 0
			for id := range int32(2) {
				p, err := m.Lookup("t", id)
				if err != nil {
					p, err = m.Lookup("u", id)
				}
				require.NoError(t, err)
				from := p.FirstOffset()
				for r, err := range p.Read(bg, from) {
					if err != nil {
						refused++
						require.True(t, refusal(err), "%v", err)
						break
					}
					require.Equal(t, string(record("record %02d", 2*r.Offset+int64(id)).Value), string(r.Value))
				}
			}
			require.Positive(t, refused)
			report := verify(t, disk, withKeys)
			require.True(t, len(report.Damage) > 0 || report.UncheckedBatches > 0)
			require.NoError(t, m.Close())
		})
	}
}

// refusal reports whether an error says that records are not what was written.
func refusal(err error) bool {
	for _, is := range []error{wal.ErrTampered, wal.ErrDamaged, wal.ErrKey, wal.ErrCodec} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// exchangeIDs has the two partitions' batches say that they are the other's.
func (f *forged) exchangeIDs() {
	for i := range f.at[2:] { // both are declared by then
		id := f.entry(i + 2)
		id[0] = 3 - id[0]
	}
}

// renameTopic declares topic u in place of t.
func (f *forged) renameTopic() {
	for at := format.HeaderSize; at < int(f.at[len(f.at)-1]); at += 512 {
		h, err := format.ReadFrameHeader(f.b[at:])
		if err != nil {
			continue
		}
		entries, _ := format.ReadDirectory(nil, h, f.b[int64(at)+h.DirectoryAt():int64(at)+h.Length])
		if len(entries) > 0 && entries[0].Kind == format.KindDeclare {
			f.b[at+format.FrameHeaderSize+32] = 'u'
		}
	}
}

// shift moves partition 0's batches from the third on by an offset.
func (f *forged) shift() {
	for i := 4; i < len(f.at); i += 2 {
		e := f.entry(i)
		binary.LittleEndian.PutUint64(e[8:], binary.LittleEndian.Uint64(e[8:])+1)
		if i == 4 {
			binary.LittleEndian.PutUint64(e[16:], 1)
		}
	}
}

// A bit that flips anywhere in a batch is found, and so is one whose checksums are made right again.
func TestEveryFlippedBitOfASealedBatchIsRefused(t *testing.T) {
	disk := sealedRow(t, newDisk(t, sim.Options{}))
	original := must(disk.ReadFile(segmentFile(1)))
	size := len(forge(t, original).data(4))
	for i := range size {
		for _, anew := range []bool{false, true} {
			f := forge(t, original)
			f.data(4)[i] ^= 1 << (i % 8)
			b := f.b
			if anew {
				b = f.seal(t)
			}
			disk := disk.Clone()
			require.NoError(t, disk.Overwrite(segmentFile(1), 0, b))
			m, err := tryOpen(disk, withKeys, wal.WithReadOnly())
			if err != nil {
				require.ErrorIs(t, err, wal.ErrDamaged)
				continue
			}
			err = readError(lookup(t, m, "t", 0), 2)
			require.Error(t, err, "byte %d", i)
			require.True(t, refusal(err))
			require.NoError(t, m.Close())
		}
	}
}

// What a truncation took back does not come again, though it has the same offset, and was sealed
// with the same key.
func TestReplayedHistoryIsRefused(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, withKeys)
	p := partition(t, m, "t", 0)
	noon := time.Unix(43200, 0) // all else is equal too, but for the LSN
	for i := range 5 {
		_, err := p.Append(bg, wal.Record{Timestamp: noon, Value: fmt.Appendf(nil, "old %02d", i)})
		require.NoError(t, err)
	}
	require.NoError(t, p.TruncateAfter(bg, 1))
	for i := range 3 {
		_, err := p.Append(bg, wal.Record{Timestamp: noon, Value: fmt.Appendf(nil, "new %02d", i+2)})
		require.NoError(t, err)
	}
	disk = crash(t, disk)
	f := forge(t, must(disk.ReadFile(segmentFile(1))))
	require.Len(t, f.at, 8)
	copy(f.data(5), f.data(2)) // offset 2, old for new
	require.NoError(t, disk.Overwrite(segmentFile(1), 0, f.seal(t)))
	m = open(t, disk, withKeys, wal.WithReadOnly())
	require.ErrorIs(t, readError(lookup(t, m, "t", 0), 0), wal.ErrTampered)
}

// A segment of another log under the same key provider, in place of one of this log.
func TestSegmentOfAnotherLogIsRefused(t *testing.T) {
	mine := sealedRow(t, newDisk(t, sim.Options{}))
	other := sealedRow(t, newDisk(t, sim.Options{}))
	head := mustHeader(t, must(mine.ReadFile(segmentFile(1))))
	b := must(other.ReadFile(segmentFile(1)))
	h := mustHeader(t, b)
	h.Log = head.Log
	format.PutSegmentHeader(b, h) // as it is, but for the log id
	require.NoError(t, mine.Overwrite(segmentFile(1), 0, b))
	m := open(t, mine, withKeys, wal.WithReadOnly())
	require.ErrorIs(t, readError(lookup(t, m, "t", 0), 0), wal.ErrKey)
	require.NoError(t, m.Close())
	h.Key.Log = head.Log
	format.PutSegmentHeader(b, h)
	require.NoError(t, mine.Overwrite(segmentFile(1), 0, b))
	m = open(t, mine, withKeys, wal.WithReadOnly())
	require.ErrorIs(t, readError(lookup(t, m, "t", 0), 0), wal.ErrKey)
}

// An older copy of a segment that the log goes on behind.
func TestReplayedOldSegmentIsRefused(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, withKeys)
	p := partition(t, m, "t", 0)
	appendValues(t, p, 5)
	old := must(disk.ReadFile(segmentFile(1)))
	appendValues(t, p, 5)
	require.NoError(t, m.Close())
	m = open(t, disk, withKeys)
	appendValues(t, lookup(t, m, "t", 0), 5)
	require.NoError(t, m.Close())
	require.NoError(t, disk.WriteFile(segmentFile(1), old))
	_, err := tryOpen(disk, withKeys)
	require.ErrorIs(t, err, wal.ErrDamaged)
}

// A repair has no key, and keeps every batch that is sound readable with the key: wherever headers,
// declarations, footers are lost.
func TestRepairWithoutKeysKeepsWhatIsSealed(t *testing.T) {
	zero := func(number int, from, n int64) func(t tester, disk *sim.Disk) {
		return func(t tester, disk *sim.Disk) { require.NoError(t, disk.Zero(segmentFile(number), from, n)) }
	}
	for name, d := range map[string]struct {
		do   func(t tester, disk *sim.Disk)
		lost int // at most
	}{
		"header":                {zero(2, 0, 4096), 0},
		"first header":          {zero(1, 0, 4096), 0},
		"header, declarations":  {zero(2, 0, 8192), 30},
		"first declarations":    {zero(1, 4096, 4096), 30},
		"first both":            {zero(1, 0, 8192), 30},
		"last header":           {func(t tester, disk *sim.Disk) { zero(len(names(disk, ".wal")), 0, 4096)(t, disk) }, 0},
		"last both":             {func(t tester, disk *sim.Disk) { zero(len(names(disk, ".wal")), 0, 8192)(t, disk) }, 30},
		"all headers":           {func(t tester, disk *sim.Disk) { eachSegment(t, disk, 0, 4096) }, 0},
		"headers, declarations": {func(t tester, disk *sim.Disk) { eachSegment(t, disk, 0, 8192) }, 160},
		"batches":               {func(t tester, disk *sim.Disk) { eachSegment(t, disk, 9000, 10) }, 40},
		"headers and key files": {func(t tester, disk *sim.Disk) {
			eachSegment(t, disk, 0, 4096)
			for _, name := range names(disk, ".key") {
				require.NoError(t, disk.Delete(dataDir+"/"+name))
			}
		}, 0},
	} {
		for _, crashed := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				keys := newTestKeys('k')
				disk := secretLog(t, keys, keys)
				if crashed {
					require.NoError(t, disk.Delete(dataDir+"/close.marker"))
					require.NoError(t, zeroFooter(disk, len(names(disk, ".wal"))))
				}
				d.do(t, disk)
				report := repair(t, disk)
				require.True(t, verify(t, disk).OK)
				given := 0
				requireSecret(t, disk, keys, 80, func(id int32, offset int64) bool {
					lost := within(report.Lost, "t", id, offset)
					if lost {
						given++
					}
					return lost
				})
				require.LessOrEqual(t, given, d.lost)
				m, err := wal.Open(dataDir, append(repairOptions(disk), wal.WithKeys(keys))...)
				require.NoError(t, err, "and goes on")
				_, err = lookup(t, m, "t", 0).Append(bg, record("behind"))
				require.NoError(t, err)
				require.NoError(t, m.Close())
			})
		}
	}
}

// eachSegment zeroes a range of each segment.
func eachSegment(t tester, disk *sim.Disk, from, n int64) {
	t.Helper()
	for i := range names(disk, ".wal") {
		require.NoError(t, disk.Zero(segmentFile(i+1), from, n))
	}
}

// The key files that nothing needs any more are removed.
func TestKeyFilesAreRemoved(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	for range 4 {
		m := open(t, disk, withKeys, small, wal.WithRecycleLimit(0))
		p := partition(t, m, "t", 0)
		appendValues(t, p, 100)
		require.NoError(t, p.TruncateBefore(bg, p.NextOffset()))
		require.NoError(t, m.Close())
	}
	require.LessOrEqual(t, len(names(disk, ".key")), 2)
	m := open(t, disk, withKeys)
	require.NoError(t, m.Close())
	require.LessOrEqual(t, len(names(disk, ".key")), 2, "an open that appends nothing makes none")
}

// A repair that is given keys uses none: what fails authentication stays as it is, and readers are
// told. Whether it was changed, or the key is not the right one, is not for a repair to say.
func TestRepairGivesNothingUpForAKey(t *testing.T) {
	disk := sealedRow(t, newDisk(t, sim.Options{}))
	f := forge(t, must(disk.ReadFile(segmentFile(1))))
	f.data(4)[20] ^= 1
	require.NoError(t, disk.Overwrite(segmentFile(1), 0, f.seal(t)))
	before := allBytes(t, disk)
	require.Len(t, verify(t, disk, withKeys).Damage, 1)
	report, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, append(repairOptions(disk), withKeys)...)
	require.NoError(t, err)
	require.Empty(t, report.Actions)
	require.Equal(t, before, allBytes(t, disk))
	m := open(t, disk, withKeys, wal.WithReadOnly())
	err = readError(lookup(t, m, "t", 0), 2)
	require.ErrorIs(t, err, wal.ErrTampered)
	require.ErrorIs(t, err, wal.ErrDamaged)
}

// Where a segment has lost header and declarations, and no other is of the same open, the key's file
// is what keeps its batches readable.
func TestKeyFileKeepsWhatIsSealed(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, withKeys)
	appendValues(t, partition(t, m, "t", 0), 2)
	require.NoError(t, m.Close())
	m = open(t, disk, withKeys)
	appendValues(t, lookup(t, m, "t", 0), 38)
	disk = crash(t, disk)
	require.NoError(t, disk.Zero(segmentFile(2), 0, 8192))
	lost := disk.Clone()
	for _, name := range names(lost, ".key") {
		require.NoError(t, lost.Delete(dataDir+"/"+name))
	}

	report := repair(t, disk)
	require.Len(t, report.Lost, 1)
	require.Less(t, report.Lost[0].To, int64(12))
	m = open(t, disk, withKeys, wal.WithReadOnly())
	values, holes := readAll(t, lookup(t, m, "t", 0))
	require.Equal(t, report.Lost, holes)
	require.Len(t, values, 40-int(report.Lost[0].To-report.Lost[0].From))
	require.NoError(t, m.Close())

	report = repair(t, lost)
	m = open(t, lost, withKeys, wal.WithReadOnly())
	require.ErrorIs(t, readError(lookup(t, m, "t", 0), report.Lost[0].To), wal.ErrKey, "all places of the key are lost")
}
