//go:build !linux

package posix

import (
	"github.com/chronik-go/wal/core/backend"
)

// vector needs no list: the writes go out one by one.
type vector struct{}

// write writes adjacent writes of one file, all of them unless there is an error,
// and returns how many bytes are written. Nothing is written directly here, so
// durable is never set.
func (vector) write(f *file, ws []backend.Write, _ bool) (int64, error) {
	done := int64(0)
	for i := range ws {
		n, err := f.buffered.WriteAt(ws[i].Data, ws[i].Offset)
		done += int64(n)
		if err != nil {
			return done, portable(err)
		}
	}
	return done, nil
}
