package wal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
)

func TestStorageOf(t *testing.T) {
	s, err := wal.StorageOf(wal.WithTopicCodec("a", nil))
	require.NoError(t, err)
	require.Equal(t, wal.Storage{Checksum: "crc32c"}, s)

	s, err = wal.StorageOf(withKeys)
	require.NoError(t, err)
	require.Equal(t, wal.Storage{Cipher: wal.AES().Name(), Checksum: "crc32c"}, s)

	codec := zeros{id: 40}
	s, err = wal.StorageOf(withKeys, wal.WithCipher(wal.AES()), wal.WithSealedOnly(), wal.WithChecksum(wal.ChecksumXXH64),
		wal.WithCodec(codec), wal.WithTopicCodec("b", nil), wal.WithTopicCodec("a", nil), wal.WithTopicCodec("c", codec))
	require.NoError(t, err)
	require.Equal(t, wal.Storage{
		Cipher: wal.AES().Name(), SealedOnly: true, Codec: codec.Name(), TopicCodecs: []string{"a=", "b="}, Checksum: "xxh64",
	}, s)

	_, err = wal.StorageOf(wal.WithKeys(nil))
	require.ErrorIs(t, err, wal.ErrInvalid)
}
