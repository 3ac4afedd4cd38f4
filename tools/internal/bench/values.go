package bench

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	wal "github.com/chronik-go/wal/core"
)

// mostText bounds what of the files is read, bytes.
const mostText = 64 << 20

// textBatches is how many different appends a producer makes of text, one after the other.
const textBatches = 64

// compressibleBlock is the part of a value of which a share repeats, bytes.
const compressibleBlock = 128

// ReadText reads what the values of a load are cut out of: a file or, of a folder, the files
// below it in the order of their names.
func ReadText(path string) (text []byte, err error) {
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, mostText-int64(len(text))))
		text = append(text, b...)
		if err == nil && len(text) >= mostText {
			return fs.SkipAll
		}
		return err
	})
	if err == nil && len(text) == 0 {
		err = errors.New("there is no text")
	}
	if err != nil {
		return nil, fmt.Errorf("--values %s: %w", path, err)
	}
	return text, nil
}

// batches returns the records of a producer's appends, which it makes one after the other, over
// and over.
func (o AppendOptions) batches(producer int) [][]wal.Record {
	if len(o.Text) == 0 {
		return [][]wal.Record{o.batch(producer)}
	}
	list := make([][]wal.Record, textBatches)
	at := producer * o.Batch * o.RecordSize * textBatches
	for i := range list {
		list[i] = make([]wal.Record, o.Batch)
		for j := range list[i] {
			list[i][j].Value = o.cut(at)
			at += o.RecordSize
		}
	}
	return list
}

// cut returns a value out of the text, which begins anew where it ends.
func (o AppendOptions) cut(at int) []byte {
	at %= len(o.Text)
	if at+o.RecordSize <= len(o.Text) {
		return o.Text[at : at+o.RecordSize : at+o.RecordSize]
	}
	value := make([]byte, o.RecordSize)
	for n := copy(value, o.Text[at:]); n < len(value); {
		n += copy(value[n:], o.Text)
	}
	return value
}

// batch returns the records of one append, made of noise but for the share of each block that
// repeats.
func (o AppendOptions) batch(producer int) []wal.Record {
	random := rand.New(rand.NewPCG(uint64(producer), 1))
	noise := compressibleBlock - o.Compressibility*compressibleBlock/100
	records := make([]wal.Record, o.Batch)
	for i := range records {
		records[i].Value = make([]byte, o.RecordSize)
		for j := range records[i].Value {
			if j%compressibleBlock < noise {
				records[i].Value[j] = byte(random.Uint32())
			}
		}
	}
	return records
}
