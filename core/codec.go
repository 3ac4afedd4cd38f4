package wal

import (
	"fmt"

	"github.com/chronik-go/wal/core/format"
)

// decode returns the records of a batch as they were encoded.
func (c *config) decode(e format.Entry, data []byte) ([]byte, error) {
	if e.Codec == format.CodecNone {
		return data, nil
	}
	return nil, fmt.Errorf("%w: batch at offset %d has codec %d, which this program does not have",
		format.ErrVersion, e.Base, e.Codec)
}
