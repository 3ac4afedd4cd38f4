package wal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A few bits that differ in a sector are a changed footer, more are another one.
func TestFlippedBits(t *testing.T) {
	want := make([]byte, 3*512)
	for name, x := range map[string]struct {
		spoil map[int]byte
		at    int
	}{
		"equal":                      {nil, -1},
		"one bit":                    {map[int]byte{700: 1}, 700},
		"one in each of two sectors": {map[int]byte{3: 1, 700: 4}, 3},
		"four":                       {map[int]byte{700: 15}, 700},
		"five":                       {map[int]byte{700: 31}, -1},
		"four, and five elsewhere":   {map[int]byte{3: 15, 700: 31}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			have := append([]byte(nil), want...)
			for i, b := range x.spoil {
				have[i] ^= b
			}
			require.Equal(t, x.at, flippedBits(have, want))
		})
	}
}
