package cli

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
)

// recordLimit is the size of the largest value that fits a log's limit for one append
// (104,857,600 bytes) with the 24 bytes that go before it in the log.
const recordLimit = 100<<20 - 24

// inputBuffer is how much of the input is read at a time, bytes.
const inputBuffer = 256 << 10

// A recordReader cuts an input into records.
type recordReader struct {
	in *bufio.Reader
	// prefixed: a record is a u32 length, little-endian, and so many bytes; otherwise
	// it is a line.
	prefixed bool
	// offset is where in the input the next record begins, count how many came before.
	offset, count int64
}

// newRecordReader reads from input until ctx ends, if input is a file; another kind of
// reader is read to its end.
func newRecordReader(ctx context.Context, input io.Reader, prefixed bool) (*recordReader, func(), error) {
	stop := func() {}
	if f, ok := isFile(input); ok {
		var err error
		if input, stop, err = untilDone(ctx, f); err != nil {
			return nil, nil, err
		}
	}
	return &recordReader{in: bufio.NewReaderSize(input, inputBuffer), prefixed: prefixed}, stop, nil
}

// next returns the next record, in memory that is the caller's; io.EOF at the end of
// the input, ctx's error when that ended.
func (r *recordReader) next() (record []byte, err error) {
	read := r.line
	if r.prefixed {
		read = r.frame
	}
	record, size, err := read()
	var inFile *fs.PathError
	switch {
	case errors.As(err, &inFile):
		return nil, fmt.Errorf("cannot read standard input: %w", inFile.Err)
	case err != nil:
		return nil, err
	}
	r.offset += size
	r.count++
	return record, nil
}

// where names the record that next failed on.
func (r *recordReader) where() string {
	return fmt.Sprintf("record %d, at byte %d of the input", r.count+1, r.offset)
}

// line reads up to a newline; the last line need not have one.
func (r *recordReader) line() (record []byte, size int64, err error) {
	record = []byte{} // an empty line is a record with an empty value, not with none
	for {
		part, err := r.in.ReadSlice('\n')
		size += int64(len(part))
		record = append(record, part...)
		switch {
		case err == nil:
			record = record[:len(record)-1]
		case errors.Is(err, bufio.ErrBufferFull) && len(record) <= recordLimit:
			continue
		case errors.Is(err, io.EOF) && size > 0:
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, 0, err
		}
		if len(record) > recordLimit {
			return nil, 0, refusef("%s, is longer than the limit of %d bytes", r.where(), recordLimit)
		}
		return record, size, nil
	}
}

// frame reads a length and so many bytes.
func (r *recordReader) frame() (record []byte, size int64, err error) {
	var prefix [4]byte
	switch n, err := io.ReadFull(r.in, prefix[:]); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, 0, refusef("%s, is cut off: the input ends %d bytes into its length of 4 bytes", r.where(), n)
	case err != nil:
		return nil, 0, err
	}
	length := binary.LittleEndian.Uint32(prefix[:])
	if length > recordLimit {
		return nil, 0, refusef("%s, says that it has %d bytes: the limit is %d", r.where(), length, recordLimit)
	}
	record, err = readAtMost(r.in, int(length))
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, 0, refusef("%s, is cut off: the input ends after %d of its %d bytes", r.where(), len(record), length)
	case err != nil:
		return nil, 0, err
	}
	return record, int64(len(prefix)) + int64(length), nil
}

// readAtMost reads n bytes. Memory grows with what is there, not with what a length says.
func readAtMost(in io.Reader, n int) (record []byte, err error) {
	record = make([]byte, 0, min(n, inputBuffer))
	for len(record) < n {
		part := min(n-len(record), max(len(record), inputBuffer))
		if cap(record)-len(record) < part {
			record = append(make([]byte, 0, min(n, 2*(len(record)+part))), record...)
		}
		got, err := io.ReadFull(in, record[len(record):len(record)+part])
		record = record[:len(record)+got]
		if err != nil {
			return record, err
		}
	}
	return record, nil
}

// putFrame writes one length-prefixed record, the format that frame reads.
func putFrame(out *bufio.Writer, record []byte) error {
	if int64(len(record)) > math.MaxUint32 {
		return refusef("record of %d bytes does not fit a 32-bit length", len(record))
	}
	var prefix [4]byte
	binary.LittleEndian.PutUint32(prefix[:], uint32(len(record)))
	if _, err := out.Write(prefix[:]); err != nil {
		return err
	}
	_, err := out.Write(record)
	return err
}
