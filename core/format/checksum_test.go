package format

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChecksums(t *testing.T) {
	data := []byte("123456789")
	require.Equal(t, uint32(0xe3069283), ChecksumCRC32C.Sum(data))
	require.Equal(t, uint32(0x40e6ae83), ChecksumXXH64.Sum(data), "of 8cb841db40e6ae83")
	for _, kind := range []Checksum{ChecksumCRC32C, ChecksumXXH64} {
		require.Zero(t, kind.Sum(nil), "entries without data have none")
		e := Entry{CRC: kind.Sum(data)}
		require.NoError(t, CheckData(kind, e, data))
		require.ErrorIs(t, CheckData(3-kind, e, data), ErrCorrupt, "of the other kind")
		for i := range data {
			data[i] ^= 1
			require.ErrorIs(t, CheckData(kind, e, data), ErrCorrupt)
			data[i] ^= 1
		}
		h := SegmentHeader{Checksum: kind, Alignment: 512, Log: goldenID, Number: 1, Epoch: 1, FirstLSN: 1}
		b := make([]byte, HeaderSize)
		PutSegmentHeader(b, h)
		require.EqualValues(t, kind, b[hdrChecksum])
		got, err := ReadSegmentHeader(b)
		require.NoError(t, err)
		require.Equal(t, h, got)
	}
	require.False(t, Checksum(0).Known())
	require.False(t, Checksum(3).Known())
	for _, name := range []string{"crc32c", "xxh64"} {
		c, ok := ParseChecksum(name)
		require.True(t, ok)
		require.Equal(t, name, c.String())
	}
	_, ok := ParseChecksum("checksum kind 3")
	require.False(t, ok)
	require.Equal(t, "crc32c xxh64", ChecksumCRC32C.String()+" "+ChecksumXXH64.String())
}
