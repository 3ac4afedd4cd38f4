package wal_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/core/format"
)

// zeros is a codec that is not registered: zeros in a row become a zero and their number. It
// shrinks nearly all records, for their fixed fields have many.
type zeros struct{ id uint8 }

func (c zeros) ID() uint8  { return c.id }
func (zeros) Name() string { return "zeros" }

func (zeros) Compress(dst, src []byte) []byte {
	for len(src) > 0 {
		n := 0
		for n < len(src) && n < 255 && src[n] == 0 {
			n++
		}
		if n > 0 {
			dst = append(dst, 0, byte(n))
		} else {
			dst, n = append(dst, src[0]), 1
		}
		src = src[n:]
	}
	return dst
}

func (zeros) Decompress(dst, src []byte) error {
	for len(src) > 0 && len(dst) > 0 {
		n := 1
		if src[0] != 0 {
			dst[0] = src[0]
		} else {
			if src = src[1:]; len(src) == 0 || int(src[0]) > len(dst) || src[0] == 0 {
				return errors.New("zeros without a number that can be")
			}
			n = int(src[0])
			clear(dst[:n])
		}
		dst, src = dst[n:], src[1:]
	}
	if len(dst) > 0 || len(src) > 0 {
		return errors.New("another length")
	}
	return nil
}

// zerosID is not one of the format's.
const zerosID = 40

var withZeros = wal.WithCodec(zeros{zerosID})

// withOptions runs a test with more options for the logs of most helpers.
func withOptions(t *testing.T, test func(*testing.T), opts ...wal.Option) {
	t.Helper()
	before := moreOptions
	moreOptions = append(moreOptions[:len(moreOptions):len(moreOptions)], opts...)
	defer func() { moreOptions = before }()
	test(t)
}

// codecsOf are the codecs of the batches on disk, by their partition's topic and base offset.
func codecsOf(t tester, disk *sim.Disk) map[string]uint8 {
	t.Helper()
	list := map[string]uint8{}
	for _, i := range dump(t, disk, 0) {
		if i.Kind == wal.DumpData {
			list[fmt.Sprintf("%s %d", i.Entry.Topic, i.Entry.Base)] = i.Entry.Codec
		}
	}
	return list
}

func TestCodecOfManagerTopicAndAppend(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	opts := []wal.Option{withZeros, wal.WithTopicCodec("plain", nil), wal.WithTopicCodec("other", zeros{41})}
	m := open(t, disk, opts...)
	want := map[string]uint8{}
	for topic, codec := range map[string]uint8{"t": zerosID, "plain": 0, "other": 41} {
		p := partition(t, m, topic, 0)
		_, err := p.Append(bg, big(500, 'a'), big(300, 'b'))
		require.NoError(t, err)
		ack, err := p.AppendWith(bg, zeros{42}, big(400, 'c'))
		require.NoError(t, err)
		require.NoError(t, ack.Wait(bg))
		ack, err = p.AppendWith(bg, nil, big(400, 'd'))
		require.NoError(t, err)
		require.NoError(t, ack.Wait(bg))
		for base, id := range map[int]uint8{0: codec, 2: 42, 3: 0} {
			want[fmt.Sprintf("%s %d", topic, base)] = id
		}
	}
	require.NoError(t, m.Close())
	require.Equal(t, want, codecsOf(t, disk))

	m = open(t, disk, append(opts, wal.WithTopicCodec("reads", zeros{42}))...)
	for topic := range map[string]bool{"t": true, "plain": true, "other": true} {
		var fills []byte
		for r, err := range lookup(t, m, topic, 0).Read(bg, 0) {
			require.NoError(t, err)
			fills = append(fills, r.Value[len(r.Value)-1])
		}
		require.Equal(t, "abcd", string(fills))
	}
}

func TestInvalidCodecs(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	for _, id := range []uint8{0, 63, 255} {
		_, err := tryOpen(disk, wal.WithCodec(zeros{id}))
		require.ErrorIs(t, err, wal.ErrInvalid)
		_, err = tryOpen(disk, wal.WithTopicCodec("t", zeros{id}))
		require.ErrorIs(t, err, wal.ErrInvalid)
		require.Panics(t, func() { wal.RegisterCodec(zeros{id}) })
	}
	m := open(t, disk)
	_, err := partition(t, m, "t", 0).AppendWith(bg, zeros{63}, record("x"))
	require.ErrorIs(t, err, wal.ErrInvalid)
}

// What a codec does not make smaller is stored as it is, and a compressed batch takes less room.
func TestBatchThatDoesNotShrinkIsStoredPlain(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, withZeros)
	p := partition(t, m, "t", 0)
	mixed := wal.Record{Value: make([]byte, 200)}
	for i := range mixed.Value {
		mixed.Value[i] = byte(i & 1)
	}
	before := m.Stats()
	_, err := p.Append(bg, mixed)
	require.NoError(t, err)
	plain := m.Stats()
	require.EqualValues(t, 224, plain.Bytes-before.Bytes)
	require.EqualValues(t, 224, plain.RawBytes-before.RawBytes)
	_, err = p.Append(bg, big(5000, 0))
	require.NoError(t, err)
	shrunk := m.Stats()
	require.Less(t, shrunk.Bytes-plain.Bytes, uint64(200))
	require.EqualValues(t, 5000, shrunk.RawBytes-plain.RawBytes)
	info, err := m.Segments()
	require.NoError(t, err)
	require.EqualValues(t, shrunk.Bytes, info[0].StoredBytes)
	require.EqualValues(t, shrunk.RawBytes, info[0].RawBytes)
	require.Equal(t, []string{"none", "codec 40"}, info[0].Codecs)
	require.NoError(t, m.Close())
	require.Equal(t, map[string]uint8{"t 0": 0, "t 1": zerosID}, codecsOf(t, disk))

	m = open(t, disk, withZeros, wal.WithReadOnly())
	sealed, err := m.Segments()
	require.NoError(t, err)
	info[0].State, info[0].Size = sealed[0].State, sealed[0].Size
	require.Equal(t, info, sealed, "the footer says the same")
}

// A log whose codec is not there opens, takes appends, is verified, repaired and truncated; only
// what is compressed cannot be read, and that is no damage.
func TestMissingCodecIsNoDamage(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	for range 3 { // several segments, the last one not sealed
		m := open(t, disk, withZeros, wal.WithTopicCodec("plain", nil))
		for range 5 {
			appendValues(t, partition(t, m, "plain", 0), 1)
			_, err := partition(t, m, "t", 0).Append(bg, big(900, 'z'))
			require.NoError(t, err)
		}
		require.NoError(t, m.Close())
	}
	require.NoError(t, disk.Delete(dataDir+"/close.marker"))
	require.NoError(t, zeroFooter(disk, 3))

	report, err := wal.Verify(bg, dataDir, wal.WithBackend(disk))
	require.NoError(t, err)
	require.True(t, report.OK)
	require.EqualValues(t, 30, report.Records)
	require.EqualValues(t, 15, report.UncheckedBatches)
	report, err = wal.Verify(bg, dataDir, wal.WithBackend(disk), withZeros)
	require.NoError(t, err)
	require.Zero(t, report.UncheckedBatches)

	m := open(t, disk)
	p := lookup(t, m, "t", 0)
	requireMissing := func(err error) {
		t.Helper()
		require.ErrorIs(t, err, wal.ErrCodec)
		require.NotErrorIs(t, err, wal.ErrDamaged)
		var missing *wal.CodecError
		require.ErrorAs(t, err, &missing)
		require.Equal(t, wal.CodecError{Offset: missing.Offset, ID: zerosID, Name: "codec 40"}, *missing)
		require.Contains(t, err.Error(), "RegisterCodec")
	}
	requireMissing(readError(p, 7))
	var errs []error
	for _, err := range m.Replay(bg) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	require.Len(t, errs, 1)
	requireMissing(errs[0])
	requireValues(t, lookup(t, m, "plain", 0), 0, 15)
	_, err = p.Append(bg, big(900, 'y'))
	require.NoError(t, err)
	require.NoError(t, p.TruncateBefore(bg, 6))
	require.NoError(t, m.Close())

	broken := dump(t, disk, 2)
	for _, i := range broken { // a batch whose codec is not there is lost, the others are kept
		if i.Kind == wal.DumpData && i.Entry.Base == 8 && i.Entry.Topic == "t" {
			require.NoError(t, disk.FlipBit(segmentFile(2), i.Position, 0))
		}
	}
	repaired, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, wal.WithBackend(disk))
	require.NoError(t, err)
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", From: 8, To: 9}}, repaired.Lost)
	m = open(t, disk, withZeros)
	values, lost := readAll(t, lookup(t, m, "t", 0))
	require.Len(t, values, 9)
	require.Equal(t, repaired.Lost, lost)
}

// Retention moves what a lagging partition has in compressed batches without the codec for them:
// as they are stored, and only what is left of a truncated one has to wait for the codec.
func TestMoveWithoutTheCodec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small, withZeros)
		slow := partition(t, m, "slow", 0)
		for i := range 3 {
			_, err := slow.Append(bg, slowRecord(int64(2*i)), slowRecord(int64(2*i+1)))
			require.NoError(t, err)
		}
		require.NoError(t, m.Close())

		m = open(t, disk, small, aLittle)
		slow, busy := lookup(t, m, "slow", 0), partition(t, m, "busy", 0)
		churn(t, busy, 400)
		require.NotContains(t, disk.Files(dataDir), "00000000000000000001.wal")
		require.Positive(t, m.Stats().MovedBytes)
		require.ErrorIs(t, readError(slow, 0), wal.ErrCodec)
		require.NoError(t, m.Close())

		m = open(t, disk, small, withZeros)
		requireSlow(t, lookup(t, m, "slow", 0), 0, 6)
		require.NoError(t, lookup(t, m, "slow", 0).TruncateBefore(bg, 1))
		require.NoError(t, m.Close())
		oldest := names(disk, ".wal")[0]
		m = open(t, disk, small, aLittle)
		churn(t, partition(t, m, "busy", 0), 400)
		require.Contains(t, disk.Files(dataDir), oldest)
		require.NoError(t, m.Close())
		m = open(t, disk, small, aLittle, withZeros)
		churn(t, partition(t, m, "busy", 0), 400)
		require.NotContains(t, disk.Files(dataDir), oldest)
		requireSlow(t, lookup(t, m, "slow", 0), 1, 6)
		require.NoError(t, m.Close())
	})
}

func TestKnownCodecNamesTheImport(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	for id, name := range map[uint8]string{format.CodecLZ4: "lz4", format.CodecZstd: "zstd", format.CodecS2: "s2"} {
		m := open(t, disk)
		ack, err := partition(t, m, name, 0).AppendWith(bg, zeros{id}, big(100, 'x'))
		require.NoError(t, err)
		require.NoError(t, ack.Wait(bg))
		err = readError(partition(t, m, name, 0), 0)
		require.ErrorIs(t, err, wal.ErrCodec)
		require.Contains(t, err.Error(), name)
		require.Contains(t, err.Error(), `import _ "github.com/chronik-go/wal/codec"`)
		require.NoError(t, m.Close())
	}
}

// editEntry changes the directory entry of a batch, and the checksums over it, as somebody
// would who wants the log to be believed.
func editEntry(t tester, disk *sim.Disk, batch wal.DumpItem, change func(entry []byte)) {
	t.Helper()
	var at int64
	for _, i := range dump(t, disk, 1) {
		if i.Kind == wal.DumpFrame && i.Position < batch.Position {
			at = i.Position
		}
	}
	require.NoError(t, disk.Edit(segmentFile(1), func(b []byte) []byte {
		h, err := format.ReadFrameHeader(b[at:])
		require.NoError(t, err)
		directory := b[at+h.DirectoryAt() : at+h.Length]
		change(directory[len(directory)-format.EntrySize:])
		h.DirectoryCRC = format.CRC(directory)
		format.PutFrameHeader(b[at:], h)
		return b
	}))
}

// allocated is how many bytes f allocates, with what else runs meanwhile.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// zerosBatch makes a log of one segment whose last frame is of a compressed batch.
func zerosBatch(t tester) (disk *sim.Disk, batch wal.DumpItem) {
	t.Helper()
	disk = newDisk(t, sim.Options{})
	m := open(t, disk, withZeros)
	p := partition(t, m, "t", 0)
	appendValues(t, p, 3)
	_, err := p.Append(bg, big(900, 'z'))
	require.NoError(t, err)
	disk = crash(t, disk)
	for _, i := range dump(t, disk, 1) {
		if i.Kind == wal.DumpData {
			batch = i
		}
	}
	require.EqualValues(t, zerosID, batch.Entry.Codec)
	return disk, batch
}

// A few bytes may claim to be gigabytes: no memory is reserved for them.
func TestDecompressedSizeIsBounded(t *testing.T) {
	disk, batch := zerosBatch(t)
	editEntry(t, disk, batch, func(b []byte) { binary.LittleEndian.PutUint32(b[32:], format.MaxFrame) })
	m := open(t, disk, withZeros)
	p := lookup(t, m, "t", 0)
	var err error
	bytes := allocated(func() { err = readError(p, 3) })
	require.ErrorIs(t, err, wal.ErrRecordTooLarge)
	require.NotErrorIs(t, err, wal.ErrDamaged)
	require.Contains(t, err.Error(), "WithMaxRecordSize")
	require.Less(t, bytes, uint64(8<<20))
	require.True(t, verify(t, disk, withZeros).OK)
}

// A batch whose checksum is good and whose contents cannot be is damage, and repair gives up just
// that one.
func TestDamagedContents(t *testing.T) {
	disk, batch := zerosBatch(t)
	editEntry(t, disk, batch, func(b []byte) { binary.LittleEndian.PutUint32(b[32:], 901) })
	report := verify(t, disk, withZeros)
	require.Len(t, report.Damage, 1)
	require.Equal(t, batch.Position, report.Damage[0].Offset)

	m := open(t, disk, withZeros)
	require.ErrorIs(t, readError(lookup(t, m, "t", 0), 3), wal.ErrDamaged)
	require.NoError(t, m.Close())
	m = open(t, disk, withZeros, wal.WithReadOnly(), wal.WithAllowDamage())
	values, lost := readAll(t, lookup(t, m, "t", 0))
	require.Len(t, values, 3)
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", From: 3, To: 4}}, lost)
	require.NoError(t, m.Close())

	repaired, err := wal.Repair(bg, dataDir, wal.RepairOptions{Quarantine: quarantine}, append(repairOptions(disk), withZeros)...)
	require.NoError(t, err)
	require.Equal(t, []wal.PartitionSpan{{Topic: "t", From: 3, To: 4}}, repaired.Lost)
	require.True(t, verify(t, disk, withZeros).OK)
}

// The engine's own tests of what reads and moves records hold of compressed ones too.
func TestCompressedLog(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"move":           TestMoveLaggingPartition,
		"move pieces":    TestMovePiecesOfAPartition,
		"move below gap": TestMoveBelowAGap,
		"repair damage":  TestRepairDamage,
		"repair frame":   TestRepairKeepsSoundBatchesOfAFrame,
		"read anywhere":  TestReadFromAnyOffset,
		"callers memory": TestReadRecordsAreTheCallers,
		"replay":         TestReplayIsTheUnionOfPartitions,
		"flipped bits":   TestVerifyFindsEveryFlippedBit,
		"property":       TestRepairProperty,
		"large batch":    TestBatchLargerThanSegment,
		"from memory":    TestTailIsReadFromMemory,
	} {
		t.Run(name, func(t *testing.T) { withOptions(t, test, withZeros) })
	}
}
