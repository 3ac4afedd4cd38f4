package format

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// decodeAll runs every decoder on b, with the checksums as they are.
func decodeAll(b []byte) {
	_, _ = ReadSegmentHeader(b)
	_, _ = ReadMarker(b)
	_, _ = ReadMember(b)
	_, _, _ = ReadDeclaration(b)
	_ = IsFrame(b)
	readAllRecords(b)
	if h, err := ReadFrameHeader(b); err == nil && h.Length <= int64(len(b)) {
		_, _ = ReadDirectory(nil, h, b[h.DirectoryAt():h.Length])
	}
	if t, err := ReadTrailer(b); err == nil && t.BodyLength <= int64(len(b)) {
		_, _ = t.ReadBody(b[:t.BodyLength])
	}
}

func readAllRecords(b []byte) {
	for err := error(nil); err == nil; {
		_, b, err = ReadRecord(b)
	}
}

// mend makes every checksum and magic number hold that a decoder looks at, so that random
// bytes get past them. It works on copies.
func mend(b []byte) [][]byte {
	list := [][]byte{b}
	add := func(size int, fix func(c []byte)) {
		if len(b) >= size {
			c := append([]byte(nil), b...)
			fix(c)
			list = append(list, c)
		}
	}
	add(HeaderSize, func(c []byte) { mendBlock(c[:HeaderSize], headerMagic) })
	add(MarkerSize, func(c []byte) { mendBlock(c[:MarkerSize], markerMagic) })
	add(MemberSize, func(c []byte) { mendBlock(c[:MemberSize], memberMagic) })
	add(FrameHeaderSize+EntrySize, mendFrame)
	add(TrailerSize, mendFooter)
	return list
}

func mendBlock(c []byte, magic [8]byte) {
	copy(c, magic[:])
	le.PutUint16(c[8:], Version)
	le.PutUint32(c[len(c)-4:], CRC(c[:len(c)-4]))
}

// mendFrame makes a frame that fills c.
func mendFrame(c []byte) {
	le.PutUint32(c, frameMagic)
	le.PutUint32(c[frmFlags:], 0)
	le.PutUint32(c[frmReserved:], 0)
	le.PutUint32(c[frmLength:], uint32(len(c)))
	most := uint32(len(c)-FrameHeaderSize) / EntrySize
	entries := le.Uint32(c[frmEntries:])%most + 1
	le.PutUint32(c[frmEntries:], entries)
	le.PutUint32(c[frmDirCRC:], CRC(c[len(c)-int(entries)*EntrySize:]))
	le.PutUint32(c[frmCRC:], CRC(c[:frmCRC]))
}

// mendFooter makes a footer that fills c.
func mendFooter(c []byte) {
	t := c[len(c)-TrailerSize:]
	body := c[:len(c)-TrailerSize]
	le.PutUint64(t[ftrBodyLen:], uint64(len(body)))
	le.PutUint32(t[ftrBodyCRC:], CRC(body))
	clear(t[ftrReserved:ftrCRC])
	le.PutUint64(t[ftrBodyAt:], le.Uint64(t[ftrBodyAt:])&(1<<40-1)&^(MinAlignment-1)|HeaderSize)
	le.PutUint16(t[ftrFlags:], flagRepaired)
	le.PutUint64(t[ftrEnd:], le.Uint64(t[ftrNumber:]))
	le.PutUint64(t[ftrEnd+8:], HeaderSize)
	mendBlock(t, footerMagic)
}

func TestDecodersTakeRandomBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, b := range mend(rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "bytes")) {
			decodeAll(b)
		}
	})
}

// Golden structures with some bytes changed and all checksums made good get further into
// the decoders than random bytes do.
func TestDecodersTakeChangedStructures(t *testing.T) {
	var files [][]byte
	for _, name := range []string{goldenSeg2, goldenClose, goldenFixed, goldenCodec} {
		files = append(files, golden(t, name))
	}
	seg, fixed := files[0], files[2]
	files[0] = seg[:HeaderSize]
	files = append(files, seg[5632:], bareFooter(fixed))
	files = append(files, bareFrames(seg)...)
	rapid.Check(t, func(t *rapid.T) {
		b := append([]byte(nil), rapid.SampledFrom(files).Draw(t, "file")...)
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.SampledFrom([]byte{0, 1, 2, 127, 128, 255}).Draw(t, "byte")
		}
		for _, c := range mend(b) {
			decodeAll(c)
		}
	})
}

// bareFrames cuts the frames out of a segment, without padding: what mendFrame makes whole.
func bareFrames(segment []byte) (frames [][]byte) {
	p, err := parse(segment)
	if err != nil {
		panic(err)
	}
	for _, f := range p.frames {
		frames = append(frames, segment[f.Position:f.Position+f.Length])
	}
	return frames
}

// bareFooter is a footer without the zeros between body and trailer: what mendFooter
// makes whole.
func bareFooter(footer []byte) []byte {
	t, err := ReadTrailer(footer)
	if err != nil {
		panic(err)
	}
	return join(footer[:t.BodyLength], footer[len(footer)-TrailerSize:])
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Counts and lengths that a few bytes claim reserve no memory that those bytes do not
// account for.
func TestHugeCountsAllocateLittle(t *testing.T) {
	const limit = 64 << 10
	most := []byte{255, 255, 255, 255}
	record := make([]byte, 4096)
	PutRecord(record, &Record{Value: make([]byte, 4000)}, 1)
	set(recHeaders, most...)(record)
	require.Less(t, allocated(func() { readAllRecords(record) }), uint64(limit), "headers of a record")

	frame := make([]byte, FrameHeaderSize)
	PutFrameHeader(frame, FrameHeader{Length: MaxFrame, Entries: (MaxFrame - 64) / EntrySize, Epoch: 1, LSN: 1, Position: 4096})
	h, err := ReadFrameHeader(frame)
	require.NoError(t, err)
	require.Less(t, allocated(func() { _, err = ReadDirectory(nil, h, make([]byte, EntrySize)) }), uint64(limit), "entries")
	require.ErrorIs(t, err, ErrCorrupt)

	for _, at := range []int{footerRuns, footerIndex} {
		var err error
		require.Less(t, allocated(func() { err = readBody(repairedCopy(), set(at, most...)) }), uint64(limit), "footer")
		require.ErrorIs(t, err, ErrCorrupt)
	}
	footer := AppendFooter(nil, &goldenRepaired, 512)
	trailer := footer[len(footer)-TrailerSize:]
	set(ftrPartitions, most...)(trailer)
	le.PutUint32(trailer[ftrCRC:], CRC(trailer[:ftrCRC]))
	require.Less(t, allocated(func() { _, err = ReadTrailer(footer) }), uint64(limit), "partitions")
	require.ErrorIs(t, err, ErrCorrupt)
}

// What decoders allocate stays in proportion to what they read.
func TestDecodersAllocateInProportion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "bytes")
		for _, c := range mend(b) {
			require.Less(t, allocated(func() { decodeAll(c) }), uint64(64<<10+64*len(c)))
		}
	})
}
