package wal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A few bits that differ are damage, but at the end of a sector, where a torn write may leave as little.
func TestFlippedBits(t *testing.T) {
	want := make([]byte, 3*512)
	for name, x := range map[string]struct {
		spoil map[int]byte
		at    int
	}{
		"equal":                         {nil, -1},
		"one bit":                       {map[int]byte{700: 1}, 700},
		"one in each of two sectors":    {map[int]byte{3: 1, 700: 4}, 3},
		"four":                          {map[int]byte{700: 15}, 700},
		"five":                          {map[int]byte{700: 31}, -1},
		"four, and five elsewhere":      {map[int]byte{3: 15, 700: 31}, -1},
		"the last byte of a sector":     {map[int]byte{1023: 1}, -1},
		"the last eight":                {map[int]byte{1016: 1, 1023: 1}, -1},
		"before the last eight":         {map[int]byte{1015: 1}, 1015},
		"in the middle and at the end":  {map[int]byte{700: 1, 1023: 1}, 700},
		"a torn sector beside a bit":    {map[int]byte{3: 1, 1023: 1}, -1},
		"a sector that ends with noise": {map[int]byte{1010: 0xa5, 1015: 0x5a}, -1},
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
