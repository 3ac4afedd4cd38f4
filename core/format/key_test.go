package format

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	goldenKeyFile = "testdata/golden/v1/key-file.bin"
	goldenSealed  = "testdata/golden/v1/batch-sealed.bin"
)

var goldenKey = Key{
	Cipher: CipherAES, ID: KeyID{0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7}, Log: goldenID,
	Wrapped: []byte("a wrapped secret"),
}

// The batch that is sealed, with a key of 32 times K.
var (
	goldenSeal      = Seal{Key: goldenKey.ID, Counter: 0x0102030405060708}
	goldenSealEntry = Entry{
		Partition: 9, Kind: KindData, Codec: CodecSealed | CodecS2, Base: 37, Count: 2, RawLength: 61, MaxTimestamp: goldenTime + 8,
	}
)

func goldenCipher() cipher.AEAD {
	block, err := aes.NewCipher(bytes.Repeat([]byte("K"), 32))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func goldenAbout() []byte { return AppendSealed(nil, &goldenSealEntry, 43, "orders", 5) }

func goldenSealedBatch() []byte {
	b := make([]byte, SealPrefix)
	PutSeal(b, goldenSeal)
	nonce := goldenSeal.Nonce()
	return goldenCipher().Seal(b, nonce[:], []byte(goldenStored), goldenAbout())
}

func TestGoldenSealedBatch(t *testing.T) {
	b := golden(t, goldenSealed)
	require.Len(t, b, len(goldenStored)+SealOverhead)
	s, err := ReadSeal(b)
	require.NoError(t, err)
	require.Equal(t, goldenSeal, s)
	nonce := s.Nonce()
	require.Equal(t, []byte{0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1}, nonce[:])
	plain, err := goldenCipher().Open(nil, nonce[:], b[SealPrefix:], goldenAbout())
	require.NoError(t, err)
	require.Equal(t, goldenStored, string(plain))
	_, err = ReadSeal(b[:SealOverhead-1])
	require.ErrorIs(t, err, ErrCorrupt)
}

func TestGoldenKeyFile(t *testing.T) {
	b := golden(t, goldenKeyFile)
	k, err := ReadKeyFile(append(bytes.Clone(b), make([]byte, 100)...))
	require.NoError(t, err)
	require.Equal(t, &goldenKey, k)
	for i := range b {
		b[i] ^= 1
		_, err := ReadKeyFile(b)
		require.Error(t, err, "byte %d", i)
		b[i] ^= 1
	}
	for n := range b {
		_, err := ReadKeyFile(b[:n])
		require.ErrorIs(t, err, ErrCorrupt, "cut to %d", n)
	}
	b[8]++
	_, err = ReadKeyFile(b)
	require.ErrorIs(t, err, ErrVersion)
	require.LessOrEqual(t, len(AppendKeyFile(nil, &Key{Wrapped: make([]byte, MaxWrappedKey)})), MaxKeyFile)
}

func TestKeyRefuses(t *testing.T) {
	require.Zero(t, KeySize(nil))
	for name, change := range map[string]func(k *Key){
		"no cipher":      func(k *Key) { k.Cipher = 0 },
		"no id":          func(k *Key) { k.ID = KeyID{} },
		"no log":         func(k *Key) { k.Log = LogID{} },
		"nothing":        func(k *Key) { k.Wrapped = nil },
		"more than fits": func(k *Key) { k.Wrapped = make([]byte, MaxWrappedKey+1) },
	} {
		k := goldenKey
		change(&k)
		_, _, err := ReadKey(AppendKey(nil, &k))
		require.ErrorIs(t, err, ErrCorrupt, name)
	}
	b := AppendKey([]byte("x"), &goldenKey)
	require.Len(t, b, 1+KeySize(&goldenKey))
	k, rest, err := ReadKey(append(b, "rest"...)[1:])
	require.NoError(t, err)
	require.Equal(t, &goldenKey, k)
	require.Equal(t, "rest", string(rest))

	longest := goldenKey
	longest.Wrapped = bytes.Repeat([]byte("w"), MaxWrappedKey)
	h := SegmentHeader{Checksum: ChecksumXXH64, Alignment: 512, Log: goldenID, Number: 1, Epoch: 1, FirstLSN: 1, Key: &longest}
	head := make([]byte, HeaderSize)
	PutSegmentHeader(head, h)
	got, err := ReadSegmentHeader(head)
	require.NoError(t, err)
	require.Equal(t, h, got)
	head[hdrKey+KeySize(&longest)] = 1
	le.PutUint32(head[hdrCRC:], CRC(head[:hdrCRC]))
	_, err = ReadSegmentHeader(head)
	require.ErrorIs(t, err, ErrVersion, "bytes behind the key")
}

// A batch that says that it is sealed has room for what sealing adds, and just that if it is not
// compressed; a declaration that a key follows has room for that.
func TestEntriesOfSealedBatches(t *testing.T) {
	e := Entry{Partition: 1, Kind: KindData, Codec: CodecSealed, Count: 1, RawLength: 30, Length: 30 + SealOverhead}
	require.NoError(t, e.check())
	for _, n := range []int64{29, 31} {
		e.Length = n + SealOverhead
		require.ErrorIs(t, e.check(), ErrCorrupt)
	}
	e.Codec, e.Length = CodecSealed|CodecLZ4, SealOverhead-1
	require.ErrorIs(t, e.check(), ErrCorrupt)
	e.Length = SealOverhead
	require.NoError(t, e.check())
	d := Entry{Partition: 1, Kind: KindDeclare, Length: declareFixed + MaxTopic + 1, RawLength: declareFixed + MaxTopic + 1}
	require.ErrorIs(t, d.check(), ErrCorrupt)
	d.Flags = FlagKey
	require.NoError(t, d.check())
	e.Flags = FlagKey
	require.ErrorIs(t, e.check(), ErrVersion, "no flag of data")
	require.EqualValues(t, 1<<CodecLZ4, func() uint64 { s := Stored{}; s.Add(Entry{Codec: CodecSealed | CodecLZ4}); return s.Codecs }())
}

func FuzzKeyFile(f *testing.F) {
	f.Add(AppendKeyFile(nil, &goldenKey))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > fuzzMost {
			return
		}
		for _, b := range [][]byte{b, mendKeyFile(b)} {
			k, err := ReadKeyFile(b)
			if err == nil {
				again := AppendKeyFile(nil, k)
				require.Equal(t, again, b[:len(again)])
			}
		}
	})
}

// mendKeyFile makes the CRC right of a key file that ends with it.
func mendKeyFile(b []byte) []byte {
	if len(b) < keyFileKey+keyFixed+4 {
		return b
	}
	b = bytes.Clone(b)
	end := len(b) - 4
	le.PutUint16(b[keyFileKey+keySize:], uint16(end-keyFileKey-keyFixed))
	le.PutUint32(b[end:], CRC(b[:end]))
	return b
}
