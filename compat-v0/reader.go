package walv0

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Item is what a Reader found at one place of a file: a record, or bytes that are none.
type Item struct {
	// Position and Size are the place in the file, bytes.
	Position, Size int64
	// Record is nil where there is none. It is valid until the next call.
	Record *Record
	// BadCRC: the record is whole in all but its CRC, which is wrong either way. Only of V2, whose
	// CRCs v0 did not check.
	BadCRC bool
	// Torn: the bytes are the beginning of a record that was being written when v0 was stopped, at
	// the end of the file. That is no damage.
	Torn bool
	// Reason says what is wrong with the bytes.
	Reason string
	// raw are the record's bytes.
	raw []byte
}

// MaxRecord is the size of the largest record that is read, bytes, unless something else is said.
const MaxRecord = 104_857_600

const windowSize = 1 << 20

// Reader reads the records of a file one behind the other. Where there are none it looks for the next
// one. It holds one record in memory, and a MiB.
type Reader struct {
	file  io.ReaderAt
	size  int64
	limit int64

	position int64
	record   Record
	window   []byte
	from     int64 // of the window
}

// NewReader returns a reader of a file of a size, bytes. limit is the size of the largest record.
func NewReader(file io.ReaderAt, size, limit int64) *Reader {
	return &Reader{file: file, size: size, limit: limit}
}

// Next returns what comes next in the file, and io.EOF at its end. Other errors are those of reading.
func (r *Reader) Next() (Item, error) {
	if r.position >= r.size {
		return Item{}, io.EOF
	}
	item, err := r.at(r.position)
	why, isFlaw := errors.AsType[*flaw](err)
	if isFlaw {
		item, err = r.bad(why)
	}
	if err != nil {
		return Item{}, fmt.Errorf("at byte %d: %w", r.position, err)
	}
	r.position += item.Size
	return item, nil
}

// torn looks at a record that goes beyond the file: one whose fields end just where the file does is
// whole, and its length wrong. No crash leaves that, for it would cut off a field.
func (r *Reader) torn(err error, position int64) error {
	left := r.size - position
	if why, ok := errors.AsType[*flaw](err); !ok || !why.beyond || left < v1Fixed || left > r.limit {
		return err
	}
	b, failed := r.view(position, left)
	if failed != nil {
		return failed
	}
	if b[posVersion] == 1 && decode(b, V1, &r.record) == nil {
		return flawf("record of %d bytes by its length, and of %d by its fields", le.Uint32(b[posLength:]), left)
	}
	return err
}

// at returns the record at a position, or a flaw.
func (r *Reader) at(position int64) (Item, error) {
	view := func(n int64) ([]byte, error) { return r.view(position, n) }
	v, size, err := measure(view, r.size-position, r.limit)
	if err != nil {
		return Item{}, r.torn(err, position)
	}
	b, err := view(size)
	if err != nil {
		return Item{}, err
	}
	if err := decode(b, v, &r.record); err != nil { // first, since it is cheap where there is no record
		return Item{}, err
	}
	good := goodCRC(b, v)
	if !good && v == V1 {
		return Item{}, flawf("the CRC of a record of %d bytes is wrong", size)
	}
	item := Item{Position: position, Size: size, Record: &r.record, BadCRC: !good, raw: b}
	if good {
		return item, nil
	}
	// Nothing but its sizes says where it ends: there has to be something that agrees.
	item.Reason = "the CRC is wrong"
	if end := position + size; end < r.size {
		next, err := r.view(end, min(r.size-end, posFlags+1))
		if err != nil {
			return Item{}, err
		}
		if !mayBegin(next) {
			return Item{}, flawf("the CRC of a record of %d bytes is wrong, and none begins behind it", size)
		}
		if b, err = view(size); err != nil { // it may have moved
			return Item{}, err
		}
		item.raw = b
		return item, decode(b, v, &r.record)
	}
	return item, nil
}

// mayBegin reports whether a record may begin with these bytes, going by the first four of them.
func mayBegin(b []byte) bool {
	for i, c := range b[:min(len(b), posFlags+1)] {
		switch {
		case i == 0 && c != magic0, i == 1 && c != magic1, i == posVersion && c != 1 && c != 2, i == posFlags && c != 0:
			return false
		}
	}
	return true
}

// bad returns the bytes from the reader's position to the next sound record. Without one they are the
// torn end of the file if the record there goes on beyond it and no other record, whatever its CRC, stands
// behind, or if they are zeros.
func (r *Reader) bad(why *flaw) (Item, error) {
	item := Item{Position: r.position, Size: r.size - r.position, Reason: why.reason, Torn: why.beyond}
	zeros := true
	for at := r.position; at < r.size; {
		b, err := r.rest(at)
		if err != nil {
			return Item{}, err
		}
		zeros = zeros && len(bytes.TrimLeft(b, "\x00")) == 0
		i := 0
		if at == r.position {
			i = 1 // what is here is bad
		}
		next := bytes.IndexByte(b[i:], magic0)
		if next < 0 {
			at += int64(len(b))
			continue
		}
		at += int64(i + next)
		if !mayBegin(b[i+next:]) {
			at++
			continue
		}
		found, err := r.at(at)
		if _, isFlaw := errors.AsType[*flaw](err); err != nil && !isFlaw {
			return Item{}, err
		} else if err == nil { // whole, at least: a crash leaves nothing behind what it cuts off
			item.Torn = false
			if !found.BadCRC {
				item.Size = at - r.position
				return item, nil
			}
		}
		at++
	}
	item.Torn = item.Torn || zeros
	return item, nil
}

// rest returns bytes from a position on, not all that there are.
func (r *Reader) rest(at int64) ([]byte, error) {
	if at < r.from || at >= r.from+int64(len(r.window)) {
		return r.view(at, min(r.size-at, windowSize))
	}
	return r.window[at-r.from:], nil
}

// view returns n bytes of the file, which has them. They are valid until the next call.
func (r *Reader) view(at, n int64) ([]byte, error) {
	if at >= r.from && at+n <= r.from+int64(len(r.window)) {
		return r.window[at-r.from:][:n], nil
	}
	size := max(n, windowSize)
	if int64(cap(r.window)) != size {
		r.window = make([]byte, size)
	}
	r.window = r.window[:min(size, r.size-at)]
	r.from = at
	if n, err := r.file.ReadAt(r.window, at); n < len(r.window) {
		r.window = r.window[:0]
		if errors.Is(err, io.EOF) { // it is no end that the caller knows of
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return r.window[:n], nil
}
