package format

import "fmt"

// MemberSize is the size of a member file, bytes: one smallest block.
const MemberSize = 512

var memberMagic = [8]byte{'C', 'H', 'R', 'N', 'K', 'M', 'B', 'R'}

// MemberKind says what a log is in its data directory.
type MemberKind uint8

const (
	// MemberMain is the log in the data directory itself. Its number is 0.
	MemberMain MemberKind = iota + 1
	// MemberShard is one of several logs that partitions are spread over.
	MemberShard
	// MemberDedicated is the log of one partition.
	MemberDedicated
)

// Member says which log a directory has, and of which data directory that is a part. What
// belongs together knows of each other by it.
type Member struct {
	Kind   MemberKind
	Number uint32
	Log    LogID
	// Whole is the id of the data directory's main log.
	Whole LogID
	// End is where the log ended when it was last closed, as the data directory knows it. It
	// is zero if the log never was, and in the log's own directory.
	End Link
}

// The layout of a member file:
//
//	  0  magic "CHRNKMBR"   8
//	  8  version            2
//	 10  kind               1
//	 11  zero               1
//	 12  number             4
//	 16  log id            16
//	 32  whole             16  a log id
//	 48  end               28  a link
//	 76  zeros            432
//	508  CRC of the above   4
const (
	mbrVersion  = 8
	mbrKind     = 10
	mbrZero     = 11
	mbrNumber   = 12
	mbrLog      = 16
	mbrWhole    = 32
	mbrEnd      = 48
	mbrReserved = mbrEnd + linkSize
	mbrCRC      = MemberSize - 4
)

// PutMember writes m to b, which has at least MemberSize bytes.
func PutMember(b []byte, m Member) {
	b = b[:MemberSize]
	clear(b)
	copy(b, memberMagic[:])
	le.PutUint16(b[mbrVersion:], Version)
	b[mbrKind] = byte(m.Kind)
	le.PutUint32(b[mbrNumber:], m.Number)
	copy(b[mbrLog:], m.Log[:])
	copy(b[mbrWhole:], m.Whole[:])
	putLink(b[mbrEnd:], m.End)
	le.PutUint32(b[mbrCRC:], CRC(b[:mbrCRC]))
}

// ReadMember reads the member file at the start of b. Its error wraps ErrCorrupt or
// ErrVersion.
func ReadMember(b []byte) (Member, error) {
	if len(b) < MemberSize {
		return Member{}, fmt.Errorf("%w: member file: %d bytes of %d", ErrCorrupt, len(b), MemberSize)
	}
	b = b[:MemberSize]
	if [8]byte(b) != memberMagic || CRC(b[:mbrCRC]) != le.Uint32(b[mbrCRC:]) {
		return Member{}, fmt.Errorf("%w: member file: magic or CRC is wrong", ErrCorrupt)
	}
	if v := le.Uint16(b[mbrVersion:]); v != Version {
		return Member{}, fmt.Errorf("%w %d of member file (this program knows %d)", ErrVersion, v, Version)
	}
	m := Member{
		Kind: MemberKind(b[mbrKind]), Number: le.Uint32(b[mbrNumber:]),
		Log: LogID(b[mbrLog:]), Whole: LogID(b[mbrWhole:]), End: readLink(b[mbrEnd:]),
	}
	if m.Kind > MemberDedicated || b[mbrZero] != 0 || !allZero(b[mbrReserved:mbrCRC]) {
		return Member{}, fmt.Errorf("%w: member file: unknown kind %d, or reserved bytes in use", ErrVersion, m.Kind)
	}
	main := m.Kind == MemberMain
	if m.Kind == 0 || main != (m.Number == 0) || main != (m.Log == m.Whole) ||
		m.Log == (LogID{}) || m.Whole == (LogID{}) || !m.End.valid() {
		return Member{}, fmt.Errorf("%w: member file: %+v", ErrCorrupt, m)
	}
	return m, nil
}
