// Package codec has the codecs that the format of Chronik WAL knows by id: lz4, zstd and s2.
//
// Importing it, blank if need be, lets a program read what they compressed. To write with one,
// pass it to wal.WithCodec, wal.WithTopicCodec or Partition.AppendWith:
//
//	m, err := wal.Open(dir, wal.WithCodec(codec.LZ4(0)))
//
// All of them may be used concurrently; encoders and decoders are pooled. docs/codecs.md tells
// how to choose.
package codec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	wal "github.com/chronik-go/wal/core"
)

func init() {
	for _, c := range []wal.Codec{LZ4(0), Zstd(0), S2(0)} {
		wal.RegisterCodec(c)
	}
}

// Names are what Named takes.
func Names() []string { return []string{"none", "lz4", "zstd", "s2"} }

// Levels says which levels each codec has.
func Levels() string {
	return fmt.Sprintf("levels are 0 to %d for lz4, 0 to %d for zstd, 0 to %d for s2; none has none", maxLZ4, maxZstd, maxS2)
}

// Named returns the codec of a name, which a colon and a level may follow, as in zstd:3; nil
// for none. The error wraps wal.ErrInvalid.
func Named(name string) (wal.Codec, error) {
	base, text, leveled := strings.Cut(name, ":")
	level := 0
	if leveled {
		var err error
		if level, err = strconv.Atoi(text); err != nil {
			return nil, fmt.Errorf("%w codec %q: the level is not a number: %s", wal.ErrInvalid, name, Levels())
		}
	}
	switch {
	case base == "none" && !leveled:
		return nil, nil
	case base == "lz4" && inRange(level, maxLZ4):
		return LZ4(level), nil
	case base == "zstd" && inRange(level, maxZstd):
		return Zstd(level), nil
	case base == "s2" && inRange(level, maxS2):
		return S2(level), nil
	case slices.Contains(Names(), base):
		return nil, fmt.Errorf("%w codec %q: %s", wal.ErrInvalid, name, Levels())
	}
	return nil, fmt.Errorf("%w codec %q: one of %s", wal.ErrInvalid, name, strings.Join(Names(), ", "))
}

func inRange(level, highest int) bool { return 0 <= level && level <= highest }

// room returns dst with at least n bytes of spare room.
func room(dst []byte, n int) []byte { return slices.Grow(dst, n) }
