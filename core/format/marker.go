package format

import "fmt"

// MarkerSize is the size of the close marker, bytes: one smallest block.
const MarkerSize = 512

var markerMagic = [8]byte{'C', 'H', 'R', 'N', 'K', 'C', 'L', 'S'}

// Marker is the close marker: the end of a log that was closed cleanly. While it
// stands, anything missing before that end is damage, never a torn tail.
type Marker struct {
	Log LogID
	End Link
	// Unsealed: a segment has no footer, or one that may not be durable, since the writer
	// could not seal it.
	Unsealed bool
}

// markerUnsealed is the flag of Marker.Unsealed.
const markerUnsealed = 1

// The layout of the close marker:
//
//	  0  magic "CHRNKCLS"   8
//	  8  version            2
//	 10  flags              2
//	 12  zeros              4
//	 16  log id            16
//	 32  end of the log    28  a link
//	 60  zeros            448
//	508  CRC of the above   4
const (
	mrkVersion  = 8
	mrkFlags    = 10
	mrkZero     = 12
	mrkLog      = 16
	mrkEnd      = 32
	mrkReserved = mrkEnd + linkSize
	mrkCRC      = MarkerSize - 4
)

// PutMarker writes m to b, which has at least MarkerSize bytes.
func PutMarker(b []byte, m Marker) {
	b = b[:MarkerSize]
	clear(b)
	copy(b, markerMagic[:])
	le.PutUint16(b[mrkVersion:], Version)
	if m.Unsealed {
		le.PutUint16(b[mrkFlags:], markerUnsealed)
	}
	copy(b[mrkLog:], m.Log[:])
	putLink(b[mrkEnd:], m.End)
	le.PutUint32(b[mrkCRC:], CRC(b[:mrkCRC]))
}

// ReadMarker reads the close marker at the start of b. Its error wraps ErrCorrupt or
// ErrVersion.
func ReadMarker(b []byte) (Marker, error) {
	if len(b) < MarkerSize {
		return Marker{}, fmt.Errorf("%w: close marker: %d bytes of %d", ErrCorrupt, len(b), MarkerSize)
	}
	b = b[:MarkerSize]
	if [8]byte(b) != markerMagic || CRC(b[:mrkCRC]) != le.Uint32(b[mrkCRC:]) {
		return Marker{}, fmt.Errorf("%w: close marker: magic or CRC is wrong", ErrCorrupt)
	}
	if v := le.Uint16(b[mrkVersion:]); v != Version {
		return Marker{}, fmt.Errorf("%w %d of close marker (this program knows %d)", ErrVersion, v, Version)
	}
	flags := le.Uint16(b[mrkFlags:])
	if flags&^markerUnsealed != 0 || !allZero(b[mrkZero:mrkLog]) || !allZero(b[mrkReserved:mrkCRC]) {
		return Marker{}, fmt.Errorf("%w: close marker: flags %#x or reserved bytes in use", ErrVersion, flags)
	}
	m := Marker{Log: LogID(b[mrkLog:]), End: readLink(b[mrkEnd:]), Unsealed: flags != 0}
	if m.Log == (LogID{}) || !m.End.valid() {
		return Marker{}, fmt.Errorf("%w: close marker: log id %x ends at %+v", ErrCorrupt, m.Log, m.End)
	}
	return m, nil
}
