// Package format is the log's on-disk format: how segments, frames, batches and
// records lie in bytes. It reads and writes memory only; it opens no file.
//
// A log is a directory of segments. A segment is a header block, frames one behind
// the other, and, once it is sealed, a footer:
//
//	+--------+-------+-------+-----+-------+--------+
//	| header | frame | frame | ... | frame | footer |
//	+--------+-------+-------+-----+-------+--------+
//	0        4096                          ^ end    ^ end of the file
//
// A frame is one group commit: the batches that were written, and made durable, by
// one write. A batch is the records of one append to one partition, or a control
// entry. docs/format.md is the normative description; the golden files beside this
// package hold an example of everything in it.
//
// All integers are little-endian. No field of a valid structure that identifies
// something is zero, so unwritten space never passes for data.
package format

import (
	"encoding/binary"
	"errors"
)

// Version is the format version that this package writes, and the only one it reads.
const Version = 1

// ErrCorrupt is wrapped by every error about bytes that are not what they should be.
var ErrCorrupt = errors.New("corrupt")

// ErrVersion is wrapped when the bytes were written by a version that this one does
// not know.
var ErrVersion = errors.New("unknown format version")

// AlignUp returns the smallest multiple of align, a power of two, that is not below n.
func AlignUp(n, align int64) int64 { return (n + align - 1) &^ (align - 1) }

var le = binary.LittleEndian
